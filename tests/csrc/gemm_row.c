#include "check.h"

static void test_gemm_row(const dlc_tiles *t) {
    EACH(ptrdiff_t, n, SIZES, 400) EACH(ptrdiff_t, kc, 0, 1, 5, 17) EACH(int, accumulate, 0, 1)
    EACH(int, activation, DLC_LINEAR, DLC_RELU, DLC_TANH) {
        const ptrdiff_t nr = t->nr, b_panel = (kc + 2) * nr, panels = (n + nr - 1) / nr;
        const float *a = quarters(kc), *b = quarters(panels * b_panel), *bias = accumulate ? NULL : quarters(n);
        float *c = accumulate ? quarters(n) : blank(n);
        double *want = doubles(n);
        for (ptrdiff_t j = 0; j < n; j++) {
            double sum = accumulate ? c[j] : bias[j];
            for (ptrdiff_t k = 0; k < kc; k++) sum += (double)a[k] * b[j / nr * b_panel + k * nr + j % nr];
            want[j] = activated(activation, sum);
        }
        t->gemm_row(a, kc, b, b_panel, n, bias, accumulate, activation, c);
        expect("c", c, want, n, activation == DLC_TANH ? 1e-6 : 0);
        release();
    }
}

const word gemm_row_words[] = {WORD(gemm_row), {0}};
