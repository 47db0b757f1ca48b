// What the page has to say beside the chat: troubles of storage, errors, hints. The same text is not shown twice.
import { signal } from '@preact/signals';

export interface Notice {
  readonly kind: 'warning' | 'error' | 'info';
  readonly text: string;
}

export class Notices {
  readonly list = signal<readonly Notice[]>([]);

  show(notice: Notice): void {
    if (!this.list.value.some(({ text }) => text === notice.text)) this.list.value = [...this.list.value, notice];
  }

  dismiss(notice: Notice): void {
    this.list.value = this.list.value.filter((one) => one !== notice);
  }
}
