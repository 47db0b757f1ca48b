// An answer's Markdown as HTML: parsed in blocks, so that a text that grows redraws its last block alone, and sanitised,
// for a model may write anything. Nothing in it asks another server: pictures become links. Code is coloured when its
// grammars have been loaded. Does not own the messages around it.
import DOMPurify from 'dompurify';
import { marked } from 'marked';
import { memo } from 'preact/compat';
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';

const allowed = {
  USE_PROFILES: { html: true },
  FORBID_TAGS: [
    'style',
    'form',
    'input',
    'textarea',
    'select',
    'button',
    'img',
    'picture',
    'source',
    'video',
    'audio',
    'track',
    'map',
    'area',
    'link',
    'meta',
    'base',
    'iframe',
    'object',
    'embed',
    'dialog',
  ],
  FORBID_ATTR: ['style', 'background', 'class', 'id', 'name', 'ping', 'target', 'srcset'],
  ADD_ATTR: ['data-language'],
};

DOMPurify.addHook('afterSanitizeAttributes', (node) => {
  if (node.tagName !== 'A') return;
  node.setAttribute('target', '_blank');
  node.setAttribute('rel', 'noopener noreferrer');
});

const escaped = (text: string): string =>
  text.replace(/[&<>"]/g, (letter) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[letter] as string);

marked.use({
  gfm: true,
  // models mean a new line by one
  breaks: true,
  renderer: {
    code: ({ text, lang = '' }) => {
      const [language = ''] = lang.split(/\s/);
      return `<pre><code data-language="${escaped(language)}">${escaped(text)}</code></pre>`;
    },
    image: ({ href, text, title }) => `<a href="${escaped(href)}">${escaped(text || title || href)}</a>`,
  },
});

export const sanitised = (markdown: string): string =>
  DOMPurify.sanitize(marked.parse(markdown, { async: false }), allowed);

export function Markdown({ text, growing }: { text: string; growing: boolean }) {
  const blocks = marked.lexer(text);
  return (
    <div class="markdown">
      {blocks.map((block, at) =>
        block.type === 'space' ? null : (
          <Block key={at} markdown={block.raw} growing={growing && at === blocks.length - 1} />
        ),
      )}
    </div>
  );
}

const Block = memo(({ markdown, growing }: { markdown: string; growing: boolean }) => {
  const element = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    if (element.current) element.current.innerHTML = sanitised(markdown);
  }, [markdown]);
  useEffect(() => {
    if (growing || !element.current?.querySelector('code[data-language]')) return;
    for (const code of element.current.querySelectorAll<HTMLElement>('pre > code')) finish(code);
  }, [markdown, growing]);
  return <div ref={element} />;
});

/** Colours a block of code, and puts a button to copy it on top. */
function finish(code: HTMLElement): void {
  const language = code.dataset.language ?? '';
  const pre = code.parentElement as HTMLElement;
  pre.tabIndex = 0; // it may be wider than the page
  if (!pre.previousElementSibling?.matches('.code-head')) {
    const head = document.createElement('div');
    head.className = 'code-head';
    const name = document.createElement('span');
    name.textContent = language || 'text';
    const copy = document.createElement('button');
    copy.type = 'button';
    copy.textContent = 'Copy code';
    copy.onclick = () => {
      void copyText(code.textContent ?? '').then(() => {
        copy.textContent = 'Copied';
        setTimeout(() => {
          copy.textContent = 'Copy code';
        }, 1500);
      });
    };
    head.append(name, copy);
    pre.before(head);
  }
  if (language !== '') void import('./highlight.js').then(({ highlight }) => highlight(code, language)).catch(() => {});
}

/** Pages without https have no clipboard. */
export async function copyText(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = document.createElement('textarea');
  field.value = text;
  document.body.append(field);
  field.select();
  document.execCommand('copy');
  field.remove();
}
