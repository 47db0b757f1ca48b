// A text to measure models on where the user gives none: plain English prose of a few hundred tokens, written for this.
// Does not own measuring (relufy-model.ts). Figures depend on the text, so whoever compares models names one of their own.

export const sampleText = `The harbour was quiet before the boats came in. A woman in a blue coat walked along the wall and counted the ropes, as she did every morning, while two gulls argued over the head of a fish. She had kept the books of the market for thirty years, and she knew from the sound of an engine, long before the light on the mast could be seen, which boat would be the first.

In the town behind her the baker had opened his door. Bread costs more than it did, he said to the teacher who waited there, but flour costs more too, and nobody asks the mill. The teacher laughed. She was thinking of the lesson that she would give that day, about the way in which the moon pulls the sea. Children like questions better than answers, so she would begin with one: why are there two high tides a day, and not one?

Because water is pulled on the near side of the Earth more strongly than the Earth itself, and the Earth more strongly than the water on the far side, there are two bulges, and as the planet turns, every coast passes through both. The first person who is known to have explained it was Isaac Newton, in 1687, although sailors had kept tables of the tides for hundreds of years without knowing the cause.

At noon the wind turned. The last boat brought forty boxes of mackerel, less than the week before, and its captain drank his coffee standing up. If the weather holds, he said, we shall go out again tonight. It did not hold. By four o'clock the rain came down so hard that the street became a stream, and the cat from the chandler's shop sat in the window and watched it with great attention, as if somebody had arranged the whole thing for her alone.`;
