#include "check.h"

enum { MOST = 29 }; /* rows: two tiles and more */

/* a points into an image, rows of it with gaps */
static void gemm_case(const dlc_tiles *t, int m, int n, ptrdiff_t segments, ptrdiff_t kc, int accumulate, int adds,
                      int activation) {
    ptrdiff_t a_segment[4], b_segment[4];
    const ptrdiff_t reach = 40, image = reach * segments + kc + 30;
    const float *a = quarters(image), *b = quarters(segments * kc * t->nr);
    const float *bias = activation ? quarters(n) : NULL;
    const float *from[MOST], *add = adds ? quarters(2 * m * n) : NULL;
    float *into[MOST], *c = blank(2 * m * n);
    dlc_gemm g = {.a = from, .c = into, .b = b, .bias = bias, .a_segment = a_segment, .b_segment = b_segment,
                  .segments = segments, .kc = kc, .m = m, .n = n, .accumulate = accumulate, .add = add, .origin = c,
                  .activation = activation};
    for (ptrdiff_t s = 0; s < segments; s++) {
        a_segment[s] = s * reach;
        b_segment[s] = (segments - 1 - s) * kc * t->nr;
    }
    double want[MOST][DLC_NR_MAX];
    for (int r = 0; r < m; r++) {
        from[r] = a + random_below(29);
        into[r] = c + (2 * (m - r) - 1) * n; /* from the end on, so that nobody may touch what follows */
        if (accumulate) memcpy(into[r], quarters(n), n * sizeof(float));
        for (int j = 0; j < n; j++) {
            double sum = (accumulate ? into[r][j] : 0) + (bias ? bias[j] : 0) + (adds ? add[into[r] - c + j] : 0);
            for (ptrdiff_t s = 0; s < segments; s++)
                for (ptrdiff_t k = 0; k < kc; k++)
                    sum += (double)from[r][a_segment[s] + k] * b[b_segment[s] + k * t->nr + j];
            want[r][j] = activated(activation, sum);
        }
    }
    t->gemm(&g);
    for (int r = 0; r < m; r++) expect("c", into[r], want[r], n, activation == DLC_SIGMOID ? 1e-6 : 0);
}

static void test_gemm(const dlc_tiles *t) {
    for (int m = 0; m <= MOST; m++)
        for (int n = 1; n <= t->nr; n += n == 1 || n == t->nr - 2 ? 1 : t->width / 2) {
            gemm_case(t, m, n, 1, 7, 0, 0, DLC_LINEAR);
            gemm_case(t, m, n, 3, 1, 0, 0, DLC_LINEAR);
            gemm_case(t, m, n, 1, 1, 0, 0, DLC_RELU);
            gemm_case(t, m, n, 3, 5, 0, 0, DLC_RELU);
            gemm_case(t, m, n, 3, 5, 1, 1, DLC_RELU);
            gemm_case(t, m, n, 2, 1, 0, 1, DLC_SIGMOID);
            gemm_case(t, m, n, 1, 0, 0, 0, DLC_RELU);
            gemm_case(t, m, n, 1, 2, 1, 0, DLC_RELU);
            gemm_case(t, m, n, 1, 2, 0, 0, DLC_RELU6);
            gemm_case(t, m, n, 2, 2, 0, 1, DLC_RELU6);
            gemm_case(t, m, n, 0, 3, 1, 0, DLC_LINEAR);
        }
}

static void test_pack(const dlc_tiles *t) {
    for (ptrdiff_t n = 1; n <= t->nr; n++)
        EACH(ptrdiff_t, k, 0, 1, 5) EACH(int, transposed, 0, 1) {
            const ptrdiff_t row = transposed ? 1 : n + 3, col = transposed ? k + 1 : 1;
            const float *b = quarters(k ? (k - 1) * row + (n - 1) * col + 1 : 0);
            float *panel = blank(k * t->nr);
            double *want = doubles(k * t->nr);
            for (ptrdiff_t i = 0; i < k; i++)
                for (ptrdiff_t j = 0; j < n; j++) want[i * t->nr + j] = b[i * row + j * col];
            t->pack(b, row, col, k, n, panel);
            expect("panel", panel, want, k * t->nr, 0);
        }
}

const word gemm_words[] = {WORD(gemm), WORD(pack), {0}};
