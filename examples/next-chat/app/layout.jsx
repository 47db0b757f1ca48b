// The page around the chat.
export const metadata = { title: 'useChat with a model on the server', icons: 'data:,' };

export default function Layout({ children }) {
  return (
    <html lang="en">
      <body>{children}</body>
    </html>
  );
}
