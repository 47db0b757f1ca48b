// What the provider calls a model: whatever `loadModel` gives. A type of its own, so that one place says so.
import type { Model } from '@relufy/models';

export type ProvidedModel = Model;
