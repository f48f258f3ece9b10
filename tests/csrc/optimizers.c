/* One step of each optimizer, element by element in double. */
#include "check.h"

enum { STATES = 4 }; /* weights first */
typedef struct {
    ptrdiff_t n;
    const float *g;
    float *s[STATES];
    double *want[STATES];
} arena;

static arena arena_of(ptrdiff_t n) {
    arena a = {.n = n, .g = uniform(n, -2, 2)};
    for (int k = 0; k < STATES; k++) {
        a.s[k] = uniform(n, 0.1, 2);
        a.want[k] = doubles(n);
        for (ptrdiff_t i = 0; i < n; i++) a.want[k][i] = a.s[k][i];
    }
    return a;
}

static void expect_states(const arena *a) {
    for (int k = 0; k < STATES; k++)
        expect((const char *[]){"weights", "first state", "second state", "third state"}[k], a->s[k], a->want[k], a->n, 2e-6);
}

/* a test that runs `call` and compares with `step`, which sees one weight w, its states m, v and h and its gradient g */
#define TEST(name, step, call) \
    static void test_##name(const dlc_tiles *t) { \
        EACH(ptrdiff_t, n, SIZES) { \
            const arena a = arena_of(n); \
            float *const *s = a.s; \
            for (ptrdiff_t i = 0; i < n; i++) { \
                double w = a.s[0][i], m = a.s[1][i], v = a.s[2][i], h = a.s[3][i], g = a.g[i]; \
                (void)g; \
                step; \
                a.want[0][i] = w; \
                a.want[1][i] = m; \
                a.want[2][i] = v; \
                a.want[3][i] = h; \
            } \
            call; \
            expect_states(&a); \
        } \
    }

/* the numbers of all of them, exact in float32 */
#define LR 0.0625
#define ONE_LESS 0.125 /* 1 - beta1 */
#define TWO_LESS 0.0625 /* 1 - beta2 */
#define EPSILON 0.00390625

TEST(sgd, (w -= LR * g), t->sgd(s[0], a.g, NULL, LR, 0, 0, n))
TEST(momentum, (m = 0.5 * m - LR * g, w += m), t->sgd(s[0], a.g, s[1], LR, 0.5f, 0, n))
TEST(nesterov, (m = 0.5 * m - LR * g, w += 0.5 * m - LR * g), t->sgd(s[0], a.g, s[1], LR, 0.5f, 1, n))
TEST(adam, (m += ONE_LESS * (g - m), v += TWO_LESS * (g * g - v), w -= LR * m / (sqrt(v) + EPSILON)),
     t->adam(s[0], a.g, s[1], s[2], LR, ONE_LESS, TWO_LESS, EPSILON, n))
TEST(amsgrad, (m += ONE_LESS * (g - m), v += TWO_LESS * (g * g - v), h = fmax(h, v), w -= LR * m / (sqrt(h) + EPSILON)),
     t->amsgrad(s[0], a.g, s[1], s[2], s[3], LR, ONE_LESS, TWO_LESS, EPSILON, n))
TEST(nadam, (m += ONE_LESS * (g - m), v += TWO_LESS * (g * g - v), w -= (0.25 * m + LR * g) / (sqrt(v * 1.5) + EPSILON)),
     t->nadam(s[0], a.g, s[1], s[2], 0.25f, LR, ONE_LESS, TWO_LESS, 1.5f, EPSILON, n))
TEST(adamax, (m += ONE_LESS * (g - m), v = fmax((1 - TWO_LESS) * v, fabs(g)), w -= LR * m / (v + EPSILON)),
     t->adamax(s[0], a.g, s[1], s[2], LR, ONE_LESS, 1 - TWO_LESS, EPSILON, n))
TEST(rmsprop, (v = 0.875 * v + 0.125 * g * g, w -= LR * g / sqrt(v + EPSILON)),
     t->rmsprop(s[0], a.g, s[2], NULL, NULL, LR, 0.875f, 0.125f, 0, EPSILON, n))
/* the mean is never as large as v allows: 5 in place of epsilon keeps the root away from zero */
TEST(rmsprop_centred, (v = 0.875 * v + 0.125 * g * g, h = 0.875 * h + 0.125 * g, m = 0.5 * m + LR * g / sqrt(v - h * h + 5), w -= m),
     t->rmsprop(s[0], a.g, s[2], s[1], s[3], LR, 0.875f, 0.125f, 0.5f, 5, n))
TEST(adagrad, (v += g * g, w -= LR * g / sqrt(v + EPSILON)), t->adagrad(s[0], a.g, s[2], LR, EPSILON, n))
TEST(adadelta, (v = 0.875 * v + 0.125 * g * g, m = sqrt(h + EPSILON) * g / sqrt(v + EPSILON), h = 0.875 * h + 0.125 * m * m,
                w -= LR * m, m = a.s[1][i]),
     t->adadelta(s[0], a.g, s[2], s[3], LR, 0.875f, 0.125f, EPSILON, n))
TEST(lion, (v = 0.75 * m + 0.25 * g, w -= LR * ((v > 0) - (v < 0)), m = 0.875 * m + 0.125 * g, v = a.s[2][i]),
     t->lion(s[0], a.g, s[1], LR, 0.75f, 0.25f, 0.875f, 0.125f, n))
TEST(moving_average, (m = 0.875 * m + 0.125 * w), t->moving_average(s[0], s[1], 0.875f, 0.125f, n))

static void test_optimizer_gradient(const dlc_tiles *t) {
    EACH(ptrdiff_t, n, SIZES) EACH(int, summed, 0, 1) EACH(float, clip, 1.5f, INFINITY) {
        const float *g = wild(n), *sum = summed ? quarters(n) : NULL;
        float *out = blank(n);
        double *want = doubles(n);
        for (ptrdiff_t i = 0; i < n; i++) {
            const double x = 0.5 * (g[i] + (sum ? sum[i] : 0));
            want[i] = isnan(x) ? NAN : fmin(fmax(x, -clip), clip);
        }
        t->optimizer_gradient(g, sum, 0.5f, clip, out, n);
        expect("out", out, want, n, 0);
    }
}

const word optimizers_words[] = {WORD(sgd), WORD_BY(sgd, test_momentum), WORD_BY(sgd, test_nesterov), WORD(adam), WORD(amsgrad),
                                 WORD(nadam), WORD(adamax), WORD(rmsprop), WORD_BY(rmsprop, test_rmsprop_centred), WORD(adagrad),
                                 WORD(adadelta), WORD(lion), WORD(moving_average), WORD(optimizer_gradient), {0}};
