#include "check.h"

static const float parameters[][3] = {
    [DLC_POWER] = {1.7f}, [DLC_CLIP] = {-1.3f, 2.1f}, [DLC_RAMP] = {0.1f, 0.4f, 2.5f}, [DLC_ELU] = {1.2f, 1.1f}, [DLC_CELU] = {0.8f},
    [DLC_SOFT_SHRINK] = {0.6f}, [DLC_HARD_SHRINK] = {0.6f}, [DLC_THRESHOLD] = {0.7f, -2.0f}, [DLC_SQUAREPLUS] = {4.0f},
    [DLC_SPARSE_PLUS] = {0},
};

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double hard_sigmoid(double x) { return fmin(fmax(x + 3, 0), 6) / 6; }

static double f(int kind, double x) {
    const double a = parameters[kind][0], b = parameters[kind][1], c = parameters[kind][2];
    if (isnan(x)) return NAN;
    switch (kind) {
    case DLC_ABS: return fabs(x);
    case DLC_SIGN: return (x > 0) - (x < 0);
    case DLC_SQUARE: return x * x;
    case DLC_SQRT: return sqrt(x);
    case DLC_RSQRT: return 1 / sqrt(x);
    case DLC_RECIPROCAL: return 1 / x;
    case DLC_EXP: return exp(x);
    case DLC_EXPM1: return expm1(x);
    case DLC_LOG: return log(x);
    case DLC_LOG1P: return log1p(x);
    case DLC_POWER: return pow(x, a);
    case DLC_CLIP: return fmin(fmax(x, a), b);
    case DLC_FLOOR: return floor(x);
    case DLC_CEIL: return ceil(x);
    case DLC_ROUND: return rint(x);
    case DLC_SIN: return sin(x);
    case DLC_COS: return cos(x);
    case DLC_ERF: return erf(x);
    case DLC_SOFTPLUS: return log1p(exp(x));
    case DLC_LOG_SIGMOID: return -log1p(exp(-x));
    case DLC_RAMP: return fmin(x > b ? x : a * (x - b), c);
    case DLC_ELU: return b * (x > 0 ? x : a * expm1(x));
    case DLC_CELU: return x > 0 ? x : a * expm1(x / a);
    case DLC_GELU: return x * (1 + erf(x * sqrt(0.5))) / 2;
    case DLC_GELU_TANH: return x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))) / 2;
    case DLC_SILU: return x * sigmoid(x);
    case DLC_MISH: return x * tanh(log1p(exp(x)));
    case DLC_SOFTSIGN: return x / (1 + fabs(x));
    case DLC_HARD_SIGMOID: return hard_sigmoid(x);
    case DLC_HARD_SILU: return x * hard_sigmoid(x);
    case DLC_SOFT_SHRINK: return x > a ? x - a : x < -a ? x + a : 0;
    case DLC_HARD_SHRINK: return fabs(x) > a ? x : 0;
    case DLC_TANH_SHRINK: return x - tanh(x);
    case DLC_THRESHOLD: return x > a ? x : b;
    case DLC_SQUAREPLUS: return (x + sqrt(x * x + a)) / 2;
    default: return x > 1 ? x : x < -1 ? 0 : (x + 1) * (x + 1) / 4; /* sparse plus */
    }
}

static int positive(int kind) {
    return kind == DLC_SQRT || kind == DLC_RSQRT || kind == DLC_RECIPROCAL || kind == DLC_LOG || kind == DLC_LOG1P || kind == DLC_POWER;
}

static int slope_from_output(int kind) {
    return kind == DLC_SQRT || kind == DLC_RSQRT || kind == DLC_RECIPROCAL || kind == DLC_EXP || kind == DLC_EXPM1;
}

static int flat(int kind) { return kind == DLC_SIGN || kind == DLC_FLOOR || kind == DLC_CEIL || kind == DLC_ROUND; }

/* Slopes are those of the function in double, by central differences; no x comes near enough to a corner. */
static void test_unary(const dlc_tiles *t) {
    const double h = 1e-5;
    for (int kind = DLC_ABS; kind <= DLC_SPARSE_PLUS; kind++)
        EACH(ptrdiff_t, n, SIZES) {
            float *x = positive(kind) ? uniform(n, 0.1, 4) : uniform(n, -6, 6), *dy = quarters(n), *y = blank(n), *dx = blank(n);
            double *want = doubles(n), *slope = doubles(n);
            if (n > 2) x[random_below(n)] = NAN;
            for (ptrdiff_t i = 0; i < n; i++) {
                want[i] = f(kind, x[i]);
                slope[i] = dy[i] * (f(kind, x[i] + h) - f(kind, x[i] - h)) / (2 * h);
            }
            t->unary(kind, parameters[kind], x, y, n);
            expect("y", y, want, n, 1e-6);
            if (flat(kind)) continue; /* they have no gradient */
            t->unary_gradient(kind, parameters[kind], dy, slope_from_output(kind) ? y : x, dx, n);
            expect("dx", dx, slope, n, 5e-6);
        }
}

/* where float32 ends */
static void test_unary_far_out(const dlc_tiles *t) {
    const float x[] = {INFINITY, -INFINITY, 0.0f, 88.7f, 88.8f, -87.4f, -200.0f, 1e-30f, 3.4e38f, NAN, -1.0f, 1.0f};
    enum { N = sizeof x / sizeof *x };
    EACH(int, kind, DLC_EXP, DLC_LOG, DLC_ABS, DLC_SIGN, DLC_FLOOR, DLC_RECIPROCAL, DLC_ERF) {
        float y[N];
        double want[N];
        for (int i = 0; i < N; i++) want[i] = f(kind, x[i]);
        if (kind == DLC_EXP) want[4] = want[8] = INFINITY;
        t->unary(kind, parameters[kind], x, y, N);
        for (int i = 0; i < N; i++) expect_one("y", y[i], want[i], 2e-6);
    }
}

static void test_both(const dlc_tiles *t) {
    test_unary(t);
    test_unary_far_out(t);
}

const word unary_words[] = {WORD_BY(unary, test_both), WORD_BY(unary_gradient, test_unary), {0}};
