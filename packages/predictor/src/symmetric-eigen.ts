// Eigenvalues and eigenvectors of a symmetric matrix: Householder reflections to a tridiagonal one, then the implicit QL method
// (EISPACK's tred2 and tql2, as JAMA writes them). Some 9 n^3 operations, all in f64. Does not own what they are for.

/** Eigenvectors as rows, largest eigenvalue first. */
export function symmetricEigen(matrix: readonly ArrayLike<number>[]): {
  readonly values: number[];
  readonly vectors: Float64Array[];
} {
  const n = matrix.length;
  const v = matrix.map((row) => Float64Array.from(row));
  const [d, e] = [new Float64Array(n), new Float64Array(n)];
  toTridiagonal(v, d, e);
  // columns are eigenvectors: as rows, rotations of two neighbours run along memory
  const vectors = Array.from({ length: n }, (_, column) => Float64Array.from(v, (row) => row[column]!));
  toDiagonal(vectors, d, e);
  const order = Array.from(d.keys()).sort((i, j) => d[j]! - d[i]! || i - j);
  return { values: order.map((i) => d[i]!), vectors: order.map((i) => vectors[i]!) };
}

/** The diagonal into `d`, what lies beside it into `e[1...]`, and the product of the reflections into `v`. */
function toTridiagonal(v: Float64Array[], d: Float64Array, e: Float64Array): void {
  const n = v.length;
  if (n === 0) return;
  d.set(v[n - 1]!);
  for (let i = n - 1; i > 0; i--) {
    let [scale, h] = [0, 0];
    for (let k = 0; k < i; k++) scale += Math.abs(d[k]!);
    if (scale === 0) {
      e[i] = d[i - 1]!;
      for (let j = 0; j < i; j++) {
        d[j] = v[i - 1]![j]!;
        v[i]![j] = 0;
        v[j]![i] = 0;
      }
    } else {
      for (let k = 0; k < i; k++) {
        d[k]! /= scale;
        h += d[k]! * d[k]!;
      }
      let f = d[i - 1]!;
      const g = f > 0 ? -Math.sqrt(h) : Math.sqrt(h);
      e[i] = scale * g;
      h -= f * g;
      d[i - 1] = f - g;
      e.fill(0, 0, i);
      for (let j = 0; j < i; j++) {
        f = d[j]!;
        v[j]![i] = f;
        let sum = e[j]! + v[j]![j]! * f;
        for (let k = j + 1; k < i; k++) {
          const value = v[k]![j]!;
          sum += value * d[k]!;
          e[k]! += value * f;
        }
        e[j] = sum;
      }
      f = 0;
      for (let j = 0; j < i; j++) {
        e[j]! /= h;
        f += e[j]! * d[j]!;
      }
      const along = f / (h + h);
      for (let j = 0; j < i; j++) e[j]! -= along * d[j]!;
      for (let j = 0; j < i; j++) {
        const [own, other] = [d[j]!, e[j]!];
        for (let k = j; k < i; k++) v[k]![j]! -= own * e[k]! + other * d[k]!;
        d[j] = v[i - 1]![j]!;
        v[i]![j] = 0;
      }
    }
    d[i] = h;
  }
  for (let i = 0; i < n - 1; i++) {
    v[n - 1]![i] = v[i]![i]!;
    v[i]![i] = 1;
    const h = d[i + 1]!;
    if (h !== 0) {
      for (let k = 0; k <= i; k++) d[k] = v[k]![i + 1]! / h;
      for (let j = 0; j <= i; j++) {
        let sum = 0;
        for (let k = 0; k <= i; k++) sum += v[k]![i + 1]! * v[k]![j]!;
        for (let k = 0; k <= i; k++) v[k]![j]! -= sum * d[k]!;
      }
    }
    for (let k = 0; k <= i; k++) v[k]![i + 1] = 0;
  }
  for (let j = 0; j < n; j++) {
    d[j] = v[n - 1]![j]!;
    v[n - 1]![j] = 0;
  }
  v[n - 1]![n - 1] = 1;
  e[0] = 0;
}

/** Eigenvalues into `d`; `vectors`, the reflections' columns as rows, become eigenvectors. */
function toDiagonal(vectors: Float64Array[], d: Float64Array, e: Float64Array): void {
  const n = d.length;
  e.copyWithin(0, 1);
  if (n > 0) e[n - 1] = 0;
  let [shifted, largest] = [0, 0];
  for (let l = 0; l < n; l++) {
    largest = Math.max(largest, Math.abs(d[l]!) + Math.abs(e[l]!));
    let m = l;
    while (m < n - 1 && Math.abs(e[m]!) > Number.EPSILON * largest) m++;
    // 60 turns are far more than are ever taken; numbers that are not finite would never end
    for (let turn = 0; m > l && turn < 60 && Math.abs(e[l]!) > Number.EPSILON * largest; turn++) {
      let g = d[l]!;
      let p = (d[l + 1]! - g) / (2 * e[l]!);
      let r = p < 0 ? -Math.hypot(p, 1) : Math.hypot(p, 1);
      d[l] = e[l]! / (p + r);
      d[l + 1] = e[l]! * (p + r);
      const next = d[l + 1]!;
      let h = g - d[l]!;
      for (let i = l + 2; i < n; i++) d[i]! -= h;
      shifted += h;
      p = d[m]!;
      let [c, c2, c3, s, s2] = [1, 1, 1, 0, 0];
      const beside = e[l + 1]!;
      for (let i = m - 1; i >= l; i--) {
        c3 = c2;
        c2 = c;
        s2 = s;
        g = c * e[i]!;
        h = c * p;
        r = Math.hypot(p, e[i]!);
        e[i + 1] = s * r;
        s = e[i]! / r;
        c = p / r;
        p = c * d[i]! - s * g;
        d[i + 1] = h + s * (c * g + s * d[i]!);
        const [first, second] = [vectors[i]!, vectors[i + 1]!];
        for (let k = 0; k < n; k++) {
          const value = second[k]!;
          second[k] = s * first[k]! + c * value;
          first[k] = c * first[k]! - s * value;
        }
      }
      p = (-s * s2 * c3 * beside * e[l]!) / next;
      e[l] = s * p;
      d[l] = c * p;
    }
    d[l]! += shifted;
    e[l] = 0;
  }
}
