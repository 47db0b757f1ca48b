// The error function to double precision, for GELU in the reference executor.

/** erf(x): Maclaurin series for |x| < 3, continued fraction of erfc (Lentz) beyond. Absolute error below 1e-14. */
export function erf(x: number): number {
  const size = Math.abs(x);
  if (size < 3) {
    // erf(x) = 2/sqrt(pi) * exp(-x^2) * sum of 2^n x^(2n+1) / (1*3*...*(2n+1)): all terms positive, no cancellation
    let term = size;
    let sum = term;
    for (let n = 1; term > sum * 1e-17; n++) {
      term *= (2 * size * size) / (2 * n + 1);
      sum += term;
    }
    return Math.sign(x) * (2 / Math.sqrt(Math.PI)) * Math.exp(-size * size) * sum;
  }
  if (size > 6) return Math.sign(x);
  let fraction = 0;
  for (let n = 60; n > 0; n--) fraction = n / 2 / (size + fraction);
  return Math.sign(x) * (1 - Math.exp(-size * size) / ((size + fraction) * Math.sqrt(Math.PI)));
}
