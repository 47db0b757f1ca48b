// One exact text of the bundled model, which guards loader, tokenizer, chat template, kernels, cache and sampling at
// once: what the Hugging Face implementation writes, greedily, for the same checkpoint (its float32 golden).

export const question = 'Tell me a story about a fox.';
export const maxNewTokens = 80;
export const story = `Once upon a time, there was a little girl named Lily. She loved to play with her toys and play with her toys. One day, she found a big box in her room. She was very happy and wanted to play with it.
Lily went to the store with her mom. She saw the box and wanted to play with it. She asked her mom, "Can I play with`;
