// The neurons of every layer as pixels: one that a token reads lights up and fades, one that is skipped stays dark. One
// image of a pixel a neuron, which the style sheet enlarges; a frame costs one pass over it.
// Does not own which neurons those are (activity-log.ts) nor the words around it (ui/neurons-panel.tsx).

/** Of the glow, what is left after a frame of a sixtieth of a second. */
const fade = 0.86;
const levels = 256;

export interface Colors {
  /** As [red, green, blue]. */
  readonly skipped: readonly [number, number, number];
  readonly read: readonly [number, number, number];
  readonly gap: readonly [number, number, number];
}

export class NeuronCanvas {
  readonly #canvas: HTMLCanvasElement;
  readonly #context: CanvasRenderingContext2D;
  readonly #image: ImageData;
  readonly #pixels: Uint32Array;
  readonly #columns: number;
  readonly #rowsOfLayer: number;
  readonly #neurons: number;
  readonly #layers: number;
  /** Of each pixel, 0 to 1. */
  readonly #glow: Float32Array;
  #palette = new Uint32Array(levels);
  #frame = 0;
  #last = 0;

  constructor(canvas: HTMLCanvasElement, layers: number, neurons: number, colors: Colors) {
    this.#canvas = canvas;
    this.#layers = layers;
    this.#neurons = neurons;
    this.#columns = columnsOf(layers, neurons);
    this.#rowsOfLayer = Math.ceil(neurons / this.#columns);
    canvas.width = this.#columns;
    canvas.height = Math.max(1, layers * (this.#rowsOfLayer + 1) - 1);
    this.#context = canvas.getContext('2d') as CanvasRenderingContext2D;
    this.#image = this.#context.createImageData(canvas.width, canvas.height);
    this.#pixels = new Uint32Array(this.#image.data.buffer);
    this.#glow = new Float32Array(layers * neurons);
    this.recolor(colors);
  }

  recolor({ skipped, read, gap }: Colors): void {
    const pack = ([red, green, blue]: readonly number[]) =>
      (255 << 24) | ((blue as number) << 16) | ((green as number) << 8) | (red as number);
    this.#palette = Uint32Array.from({ length: levels }, (_, level) =>
      pack(skipped.map((from, i) => Math.round(from + ((read[i] as number) - from) * (level / (levels - 1))))),
    );
    this.#pixels.fill(pack(gap));
    this.#draw();
  }

  /** A token's neurons light up, and what glowed goes on fading. */
  light(neurons: readonly (Uint32Array | undefined)[]): void {
    this.#set(neurons);
    this.#start();
  }

  /** One token's neurons and no others, until the next call. */
  hold(neurons: readonly (Uint32Array | undefined)[]): void {
    this.#stop();
    this.#glow.fill(0);
    this.#set(neurons);
    this.#draw();
  }

  /** A brightness for every neuron of every layer, 0 to 1, until the next call. */
  rest(brightness: Float32Array): void {
    this.#stop();
    this.#glow.set(brightness);
    this.#draw();
  }

  /** The layer at a height, from 0 (top) to 1. */
  layerAt(height: number): number {
    const row = Math.floor(height * this.#canvas.height);
    return Math.max(0, Math.min(this.#layers - 1, Math.floor(row / (this.#rowsOfLayer + 1))));
  }

  dispose(): void {
    this.#stop();
  }

  #set(neurons: readonly (Uint32Array | undefined)[]): void {
    for (let layer = 0; layer < this.#layers; layer++) {
      const own = this.#glow.subarray(layer * this.#neurons, (layer + 1) * this.#neurons);
      const list = neurons[layer];
      if (list === undefined) own.fill(1);
      else for (const neuron of list) own[neuron] = 1;
    }
  }

  #start(): void {
    if (this.#frame !== 0) return;
    this.#last = performance.now();
    this.#frame = requestAnimationFrame(this.#step);
  }

  #stop(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
  }

  readonly #step = (now: number): void => {
    const left = matchMedia('(prefers-reduced-motion: reduce)').matches
      ? 1
      : fade ** ((now - this.#last) / (1000 / 60));
    this.#last = now;
    this.#draw();
    let brightest = 0;
    for (let i = 0; i < this.#glow.length; i++) {
      const glow = (this.#glow[i] as number) * left;
      this.#glow[i] = glow;
      if (glow > brightest) brightest = glow;
    }
    const goesOn = left < 1 && brightest > 1 / levels;
    this.#frame = goesOn ? requestAnimationFrame(this.#step) : 0;
  };

  #draw(): void {
    const [columns, neurons] = [this.#columns, this.#neurons];
    for (let layer = 0; layer < this.#layers; layer++) {
      const from = layer * (this.#rowsOfLayer + 1) * columns;
      const glow = layer * neurons;
      for (let neuron = 0; neuron < neurons; neuron++)
        this.#pixels[from + neuron] = this.#palette[
          ((this.#glow[glow + neuron] as number) * (levels - 1)) | 0
        ] as number;
    }
    this.#context.putImageData(this.#image, 0, 0);
  }
}

/** As many pixels in a row as make the picture about as tall as it is wide, and no layer less than two rows. */
function columnsOf(layers: number, neurons: number): number {
  const wide = 2 ** Math.round(Math.log2(Math.sqrt(layers * neurons)));
  return Math.max(32, Math.min(wide, Math.ceil(neurons / 2)));
}
