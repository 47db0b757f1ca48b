// The frame that Next.js asks for.
export const metadata = { title: 'relufy', icons: 'data:,' };

export default function Layout({ children }) {
  return (
    <html lang="en">
      <body>{children}</body>
    </html>
  );
}
