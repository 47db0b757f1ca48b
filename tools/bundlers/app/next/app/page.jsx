'use client';
// The page of browser.js, as a client component.
import '../../browser.js';

export default function Page() {
  return <p>relufy</p>;
}
