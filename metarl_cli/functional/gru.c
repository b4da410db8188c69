/* Gated recurrent units over whole sequences, forwards and backwards: what functional/gru.py does.
 *
 * Rows of a batch do not touch each other, so each thread takes some of them through all steps. A
 * few at a time share what is read of the weights, with their sums in registers. The sums of a row
 * are taken in one order whatever the rows beside it: neither the batch nor the number of threads
 * shows in the bits.
 */

#if defined(__AVX512F__)
#define LANES 16
#define MOST_ROWS 8
#elif defined(__AVX__)
#define LANES 8
#define MOST_ROWS 4
#else
#define LANES 4
#define MOST_ROWS 4
#endif
#define WIDTH (2 * LANES) /* columns that a backward product takes at once */
#define INLINE static inline __attribute__((always_inline))

typedef float vec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int ints __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

INLINE vec load(const float *x) { return *(const vec *)x; }
INLINE void store(float *x, vec value) { *(vec *)x = value; }
INLINE vec choose(ints mask, vec yes, vec no) {
    return (vec)((mask & (ints)yes) | (~mask & (ints)no));
}

/* e^x to two units in the last place; NaN stays NaN. Polynomial of Cephes (expf, Moshier). */
INLINE vec exponential(vec x) {
    const vec zero = {0};
    x = choose(x > zero + 88.0f, zero + 88.0f, x);
    x = choose(x < zero - 87.0f, zero - 87.0f, x);
    vec shifted = x * 1.44269504088896341f + 12582912.0f; /* rounds to an integer */
    vec power = shifted - 12582912.0f;
    x = x - power * 0.693359375f;
    x = x + power * 2.12194440e-4f;
    vec sum = x * 1.9875691500e-4f + 1.3981999507e-3f;
    sum = sum * x + 8.3334519073e-3f;
    sum = sum * x + 4.1665795894e-2f;
    sum = sum * x + 1.6666665459e-1f;
    sum = sum * x + 5.0000001201e-1f;
    sum = sum * (x * x) + x + 1.0f;
    return sum * (vec)(((ints)shifted << 23) + 0x3f800000);
}

INLINE vec sigmoid(vec x) { return 1.0f / (1.0f + exponential(-x)); }

/* Near 0 a polynomial of Cephes (tanhf), or rounding would take the small ones. */
INLINE vec hyperbolic_tangent(vec x) {
    vec square = x * x;
    vec sum = square * -5.70498872745e-3f + 2.06390887954e-2f;
    sum = sum * square - 5.37397155531e-2f;
    sum = sum * square + 1.33314422036e-1f;
    sum = sum * square - 3.33332819422e-1f;
    vec small = sum * square * x + x;
    vec large = 1.0f - 2.0f / (1.0f + exponential(2.0f * x));
    return choose(square < 0.390625f, small, large);
}

struct forward {
    long steps, batch, size;
    const float *inputs; /* [T, B, 3 H] */
    const float *weight; /* packed: [H / LANES, H, 3, LANES] */
    const float *bias;   /* [3 H] */
    float *states;       /* [T + 1, B, H], the first given */
    float *gates;        /* [T, B, 2 H]: reset, update; without them nothing is kept for backward */
    float *new;          /* [T, B, H] */
    float *mapped;       /* [T, B, H]: what reset multiplies */
};

/* A step of a few rows, the first of them `at` among all T * B, for the columns from j. */
INLINE void forward_columns(const int rows, const struct forward *of, long at, long j) {
    const long size = of->size;
    const float *before = of->states + at * size;
    float *after = of->states + (at + of->batch) * size;
    const float *weight = of->weight + 3 * j * size;
    vec reset[MOST_ROWS], update[MOST_ROWS], map[MOST_ROWS];
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++) {
        reset[i] = load(of->bias + j);
        update[i] = load(of->bias + size + j);
        map[i] = load(of->bias + 2 * size + j);
    }
    for (long k = 0; k < size; k++, weight += 3 * LANES) {
        vec first = load(weight), second = load(weight + LANES);
        vec third = load(weight + 2 * LANES);
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++) {
            float state = before[i * size + k];
            reset[i] += first * state;
            update[i] += second * state;
            map[i] += third * state;
        }
    }
    for (int i = 0; i < rows; i++) {
        const float *input = of->inputs + (at + i) * 3 * size + j;
        vec r = sigmoid(load(input) + reset[i]);
        vec z = sigmoid(load(input + size) + update[i]);
        vec n = hyperbolic_tangent(load(input + 2 * size) + r * map[i]);
        store(after + i * size + j, n + z * (load(before + i * size + j) - n));
        if (of->gates) {
            store(of->gates + (at + i) * 2 * size + j, r);
            store(of->gates + (at + i) * 2 * size + size + j, z);
            store(of->new + (at + i) * size + j, n);
            store(of->mapped + (at + i) * size + j, map[i]);
        }
    }
}

struct backward {
    long steps, batch, size;
    const float *gradient; /* [T, B, H], of the states */
    const float *weight;   /* packed: [H / WIDTH, 3 H, WIDTH] */
    const float *states, *gates, *new, *mapped;
    float *of_inputs; /* [T, B, 3 H], to be filled */
    float *of_new;    /* [T, B, H], to be filled: gradient of `mapped` */
    float *later;     /* [B, H], zeros: gradient of a state through the steps behind it */
};

INLINE void through_gates(const struct backward *of, long at, float *later) {
    const long size = of->size;
    for (long j = 0; j < size; j += LANES) {
        vec r = load(of->gates + at * 2 * size + j);
        vec z = load(of->gates + at * 2 * size + size + j);
        vec n = load(of->new + at * size + j);
        vec total = load(of->gradient + at * size + j) + load(later + j);
        vec to_new = total * (1.0f - n * n) * (1.0f - z);
        vec to_reset = to_new * load(of->mapped + at * size + j) * r * (1.0f - r);
        vec to_update = total * (load(of->states + at * size + j) - n) * z * (1.0f - z);
        float *of_input = of->of_inputs + at * 3 * size + j;
        store(of_input, to_reset);
        store(of_input + size, to_update);
        store(of_input + 2 * size, to_new);
        store(of->of_new + at * size + j, to_new * r);
        store(later + j, total * z);
    }
}

INLINE const float *add_products(
    const int rows, vec sums[][2], const float *x, long stride, long length, const float *weight
) {
    for (long k = 0; k < length; k++, weight += WIDTH) {
        vec first = load(weight), second = load(weight + LANES);
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++) {
            float factor = x[i * stride + k];
            sums[i][0] += first * factor;
            sums[i][1] += second * factor;
        }
    }
    return weight;
}

/* What a few rows, the first of them `at`, hand to the state before them in the columns from j. */
INLINE void backward_columns(
    const int rows, const struct backward *of, long at, float *later, long j
) {
    const long size = of->size;
    const float *weight = of->weight + 3 * j * size;
    const float *of_inputs = of->of_inputs + at * 3 * size;
    vec sums[MOST_ROWS][2];
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++) {
        sums[i][0] = load(later + i * size + j);
        sums[i][1] = load(later + i * size + j + LANES);
    }
    weight = add_products(rows, sums, of_inputs, 3 * size, 2 * size, weight);
    weight = add_products(rows, sums, of->of_new + at * size, size, size, weight);
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++) {
        store(later + i * size + j, sums[i][0]);
        store(later + i * size + j + LANES, sums[i][1]);
    }
}

/* Calls DO(number of rows, first of them) for rows from `row` to `last`, as many at once as can be. */
#define IN_GROUPS(DO)                                                                              \
    do {                                                                                           \
        long i = row;                                                                              \
        for (; last - i >= MOST_ROWS; i += MOST_ROWS)                                              \
            DO(MOST_ROWS, i);                                                                      \
        for (; last - i >= 4; i += 4)                                                              \
            DO(4, i);                                                                              \
        for (; last - i >= 2; i += 2)                                                              \
            DO(2, i);                                                                              \
        if (i < last)                                                                              \
            DO(1, i);                                                                              \
    } while (0)

static void forward_rows(const struct forward *of, long row, long last) {
    for (long t = 0; t < of->steps; t++)
        for (long j = 0; j < of->size; j += LANES) {
#define DO(rows, i) forward_columns(rows, of, t * of->batch + (i), j)
            IN_GROUPS(DO);
#undef DO
        }
}

static void backward_rows(const struct backward *of, long row, long last) {
    const long size = of->size;
    for (long t = of->steps; t-- > 0;) {
        for (long i = row; i < last; i++)
            through_gates(of, t * of->batch + i, of->later + i * size);
        for (long j = 0; j < size; j += WIDTH) {
#define DO(rows, i) backward_columns(rows, of, t * of->batch + (i), of->later + (i) * size, j)
            IN_GROUPS(DO);
#undef DO
        }
    }
}

/* Shares rows among threads, whole groups as long as there are enough. */
#define IN_PARALLEL(DO)                                                                            \
    long groups = (of->batch + MOST_ROWS - 1) / MOST_ROWS, share = MOST_ROWS;                      \
    if (groups < threads)                                                                          \
        share = (of->batch + threads - 1) / threads;                                               \
    else                                                                                           \
        share *= (groups + threads - 1) / threads;                                                 \
    _Pragma("omp parallel for num_threads(threads) schedule(static, 1)")                           \
    for (long row = 0; row < of->batch; row += share)                                              \
        DO(of, row, row + share < of->batch ? row + share : of->batch)

long lanes(void) { return LANES; }
long width(void) { return WIDTH; }

void forward(const struct forward *of, int threads) { IN_PARALLEL(forward_rows); }

void backward(const struct backward *of, int threads) { IN_PARALLEL(backward_rows); }
