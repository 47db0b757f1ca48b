// A report of `relufy measure` or `relufy eval`: its page as it is, in a frame without scripts, or a measurement.json, of
// which the same page is made here. Does not own how reports look (@relufy/sparsity).
import { useSignal } from '@preact/signals';
import { Dialog } from './dialog.js';

export function ReportDialog({ onClose }: { onClose: () => void }) {
  const html = useSignal('');
  const wrong = useSignal('');
  const open = async (files: FileList | null) => {
    const list = [...(files ?? [])];
    if (list.length === 0) return;
    wrong.value = '';
    try {
      const [first] = list;
      html.value =
        list.length === 1 && first !== undefined && /\.html?$/i.test(first.name)
          ? await first.text()
          : await pageOf(list);
    } catch (error) {
      wrong.value = error instanceof Error ? error.message : String(error);
    }
  };
  return (
    <Dialog title="Report" onClose={onClose}>
      <p class="row">
        <label class="button">
          Choose report.html or measurement.json
          <input
            type="file"
            multiple
            accept=".html,.json"
            onChange={({ currentTarget }) => void open(currentTarget.files)}
          />
        </label>
        <span class="note">Several measurements stand side by side.</span>
      </p>
      {wrong.value && (
        <p class="error" role="alert">
          {wrong.value}
        </p>
      )}
      {html.value && <iframe title="Report" sandbox="" srcDoc={html.value} />}
    </Dialog>
  );
}

async function pageOf(files: readonly File[]): Promise<string> {
  const { measurementPage, measurementSchema } = await import('@relufy/sparsity');
  const runs = await Promise.all(
    files.map(async (file) => {
      try {
        return measurementSchema.parse(JSON.parse(await file.text()));
      } catch (error) {
        throw new Error(
          `${file.name} is no measurement of relufy measure: ${error instanceof Error ? error.message.slice(0, 200) : error}`,
        );
      }
    }),
  );
  return measurementPage(runs);
}
