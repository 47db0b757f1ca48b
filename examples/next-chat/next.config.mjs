const onTheServer = ['@relufy/ai-provider', 'relufy'];

export default {
  // models and binaries are files: on the server relufy stays out of the bundle
  serverExternalPackages: onTheServer,
  // in this repository its packages are links, which Next.js takes for a part of the application; leave this out elsewhere
  webpack: (config, { isServer }) => {
    if (isServer) config.externals.push(Object.fromEntries(onTheServer.map((name) => [name, `module ${name}`])));
    return config;
  },
};
