// One exact text of the bundled model, which guards loader, tokenizer, chat template, kernels, cache and sampling at
// once: what the Hugging Face implementation writes, greedily, for the same checkpoint (its float32 golden).

export const question = 'Tell me a story about a fox.';
export const maxNewTokens = 80;
export const story = `Once upon a time, there was a little fox. He was very excited because he had a big, strong bear. He wanted to be friends with the fox.
One day, the fox met a little fox. He was very excited. He wanted to be friends with the fox. So, he asked the fox if he could join them. The fox said`;
