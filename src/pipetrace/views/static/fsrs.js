// When a card comes again: the scheduler FSRS-6, with steps of 1 and 10 minutes and no chance.
// The model: github.com/open-spaced-repetition/fsrs4anki/wiki/The-Algorithm
const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const STEPS = { learning: [MINUTE, 10 * MINUTE], relearning: [10 * MINUTE] };
const MOST_DAYS = 36_500;
const LEAST = 0.001;
const [AGAIN, HARD, GOOD, EASY] = [1, 2, 3, 4];

const between = (low, value, high) => Math.min(Math.max(value, low), high);

// As IEEE 754 and Python round: halves to the even neighbour.
function rounded(value) {
  const low = Math.floor(value);
  if (value - low !== 0.5) return Math.round(value);
  return low % 2 ? low + 1 : low;
}

// `weights`: the 21 parameters; `retention`: the probability of remembering when a card is due.
export function scheduler(weights, retention) {
  const w = weights.map(Number);
  const decay = -w[20];
  const factor = 0.9 ** (1 / decay) - 1;

  const startOf = (rating) => w[4] - Math.exp(w[5] * (rating - 1)) + 1;
  const daysOf = (stability) => {
    const days = (stability / factor) * (retention ** (1 / decay) - 1);
    return between(1, rounded(days), MOST_DAYS);
  };
  const harder = (difficulty, rating) => {
    const change = ((10 - difficulty) * -w[6] * (rating - 3)) / 9;
    return between(1, w[7] * startOf(EASY) + (1 - w[7]) * (difficulty + change), 10);
  };
  const soon = (stability, rating) => {
    const growth = Math.exp(w[17] * (rating - 3 + w[18])) * stability ** -w[19];
    return stability * (rating === AGAIN ? growth : Math.max(growth, 1));
  };
  const forgotten = (difficulty, stability, recall) =>
    Math.min(
      w[11] *
        difficulty ** -w[12] *
        ((stability + 1) ** w[13] - 1) *
        Math.exp((1 - recall) * w[14]),
      stability / Math.exp(w[17] * w[18]),
    );
  const remembered = (difficulty, stability, recall, rating) =>
    stability *
    (1 +
      Math.exp(w[8]) *
        (11 - difficulty) *
        stability ** -w[9] *
        (Math.exp((1 - recall) * w[10]) - 1) *
        (rating === HARD ? w[15] : 1) *
        (rating === EASY ? w[16] : 1));
  const later = ({ stability, difficulty }, days, rating) => {
    const recall = (1 + (factor * Math.max(0, days)) / stability) ** decay;
    return rating === AGAIN
      ? forgotten(difficulty, stability, recall)
      : remembered(difficulty, stability, recall, rating);
  };

  const fresh = { state: "learning", step: 0, stability: null, difficulty: null, due: 0 };
  // What becomes of a card that is rated at a time, in milliseconds.
  const review = (card, rating, at) => {
    const next = { ...card, last: at, reviews: (card.reviews ?? 0) + 1 };
    if (card.stability === null) {
      next.stability = w[rating - 1];
      next.difficulty = between(1, startOf(rating), 10);
    } else {
      const days = Math.floor((at - card.last) / DAY);
      next.stability = days < 1 ? soon(card.stability, rating) : later(card, days, rating);
      next.difficulty = harder(card.difficulty, rating);
    }
    next.stability = Math.max(next.stability, LEAST);
    const long = () => {
      next.state = "review";
      next.step = null;
      return daysOf(next.stability) * DAY;
    };
    const stay = (state, step) => {
      next.state = state;
      next.step = step;
      return STEPS[state][step];
    };
    const wait = () => {
      const { state, step } = card;
      if (state === "review") return rating === AGAIN ? stay("relearning", 0) : long();
      const steps = STEPS[state];
      if (rating === AGAIN) return stay(state, 0);
      if (rating === EASY || (rating === GOOD && step + 1 === steps.length)) return long();
      if (rating === GOOD) return stay(state, step + 1);
      if (step > 0) return steps[step];
      return steps.length > 1 ? (steps[0] + steps[1]) / 2 : steps[0] * 1.5;
    };
    next.due = at + wait();
    return next;
  };
  return { fresh, review };
}
