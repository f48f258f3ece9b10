#include "check.h"

enum { PAST_A = 15 }; /* floats that matmul_pack_a may write past the end */

typedef struct { ptrdiff_t m, n, k; int turned_a, turned_b; } shape;
static double a_at(const shape *s, const float *a, ptrdiff_t i, ptrdiff_t k) {
    return a[s->turned_a ? k * (s->m + 2) + i : i * (s->k + 1) + k];
}
static double b_at(const shape *s, const float *b, ptrdiff_t k, ptrdiff_t j) {
    return b[s->turned_b ? j * (s->k + 3) + k : k * (s->n + 1) + j];
}
static float *matrix(ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t step) {
    return quarters(rows && cols ? (rows - 1) * step + cols : 0);
}

/* c before and after: what is between its rows stays */
static void matmul_case(const dlc_tiles *t, const shape *s, dlc_matmul g, const float *a, const float *b) {
    const ptrdiff_t c_row = s->n + 2, size = (s->m - 1) * c_row + s->n;
    for (int way = 0; way < 4; way++) { /* plain; added to and scaled; with bias and relu; all of it */
        g.plain = way == 0;
        g.alpha = way % 2 ? -0.5f : 1.0f;
        g.beta = way % 2 ? 0.25f : 0.0f;
        g.bias = way > 1 ? quarters(s->n) : NULL;
        g.relu = way > 1;
        g.c = quarters(size);
        g.c_row = c_row, g.m = s->m, g.n = s->n, g.k = s->k;
        double *want = doubles(size);
        for (ptrdiff_t i = 0; i < size; i++) want[i] = g.c[i];
        for (ptrdiff_t i = 0; i < s->m; i++)
            for (ptrdiff_t j = 0; j < s->n; j++) {
                double sum = 0;
                for (ptrdiff_t k = 0; k < s->k; k++) sum += a_at(s, a, i, k) * b_at(s, b, k, j);
                sum = g.alpha * sum + g.beta * g.c[i * c_row + j] + (g.bias ? g.bias[j] : 0);
                want[i * c_row + j] = g.relu ? activated(DLC_RELU, sum) : sum;
            }
        if (way == 0) /* beta is 0: c is not read */
            for (ptrdiff_t i = 0; i < s->m; i++)
                for (ptrdiff_t j = 0; j < s->n; j++) g.c[i * c_row + j] = NAN;
        t->matmul(&g);
        expect("c", g.c, want, size, 0);
    }
}

static void test_matmul(const dlc_tiles *t) {
    const ptrdiff_t nr = t->matmul_nr;
    EACH(ptrdiff_t, m, 1, 2, 3, 4, 5, 6, 7, 9, 12, 13, 14, 15, 29)
    EACH(ptrdiff_t, n, 1, t->width, nr - 1, nr, 2 * nr + 3, 9 * t->width) EACH(ptrdiff_t, k, 0, 5, 18) EACH(int, turned, 0, 1) {
        release();
        const shape s = {m, n, k, turned, (int)(m % 2)};
        const float *a = turned ? matrix(k, m, m + 2) : matrix(m, k, k + 1);
        const float *b = s.turned_b ? matrix(n, k, k + 3) : matrix(k, n, n + 1);
        const ptrdiff_t a_row = turned ? 1 : k + 1, a_step = turned ? m + 2 : 1, b_step = s.turned_b ? 1 : n + 1;
        const ptrdiff_t panels = (n + nr - 1) / nr, panel = k * nr + 5;
        float *packed_a = blank(m * k + PAST_A), *packed_b = blank(panels * panel);
        t->matmul_pack_a(a, a_row, a_step, m, k, packed_a);
        t->matmul_pack_b(b, b_step, s.turned_b ? k + 3 : 1, k, n, panel, packed_b);
        const dlc_matmul both = {.a = packed_a, .b = packed_b, .b_step = nr, .b_panel = panel, .packed = 1};
        const dlc_matmul lying = {.a = a, .a_row = a_row, .a_step = a_step, .b = b, .b_step = b_step};
        dlc_matmul only_b = both, only_a = lying;
        only_b.a = a, only_b.a_row = a_row, only_b.a_step = a_step, only_b.packed = 0;
        only_a.a = packed_a, only_a.packed = 1;
        matmul_case(t, &s, both, a, b);
        matmul_case(t, &s, only_b, a, b);
        if (s.turned_b) continue;
        matmul_case(t, &s, lying, a, b);
        if (n % t->width == 0) matmul_case(t, &s, only_a, a, b);
    }
}

/* What it says of its layout: rows in ceil(m / matmul_rows) equal tiles. */
static void test_matmul_pack_a(const dlc_tiles *t) {
    EACH(ptrdiff_t, m, 1, 2, 6, 7, 13, 14, 15, 29) EACH(ptrdiff_t, k, 0, 1, 3, 4, 9, 33) EACH(int, turned, 0, 1) {
        const shape s = {m, 1, k, turned, 0};
        const float *a = turned ? matrix(k, m, m + 2) : matrix(m, k, k + 1);
        const ptrdiff_t tiles = (m + t->matmul_rows - 1) / t->matmul_rows;
        float *packed = blank(m * k + PAST_A);
        double *want = doubles(m * k);
        for (ptrdiff_t tile = 0; tile < tiles; tile++) {
            const ptrdiff_t first = tile * m / tiles, rows = (tile + 1) * m / tiles - first;
            for (ptrdiff_t i = 0; i < k; i++)
                for (ptrdiff_t r = 0; r < rows; r++) want[first * k + i * rows + r] = a_at(&s, a, first + r, i);
        }
        t->matmul_pack_a(a, turned ? 1 : k + 1, turned ? m + 2 : 1, m, k, packed);
        expect("packed", packed, want, m * k, 0);
    }
}

static void test_matmul_pack_b(const dlc_tiles *t) {
    const ptrdiff_t nr = t->matmul_nr;
    EACH(ptrdiff_t, n, 1, 3, nr - 1, nr, nr + 1, 3 * nr) EACH(ptrdiff_t, k, 0, 1, 3, 4, 9, 33) EACH(int, turned, 0, 1) {
        const shape s = {1, n, k, 0, turned};
        const float *b = turned ? matrix(n, k, k + 3) : matrix(k, n, n + 1);
        const ptrdiff_t panels = (n + nr - 1) / nr, panel = k * nr + 1;
        float *packed = blank(panels * panel);
        t->matmul_pack_b(b, turned ? 1 : n + 1, turned ? k + 3 : 1, k, n, panel, packed);
        for (ptrdiff_t j = 0; j < n; j++)
            for (ptrdiff_t i = 0; i < k; i++)
                expect_one("packed", packed[j / nr * panel + i * nr + j % nr], b_at(&s, b, i, j), 0);
        for (ptrdiff_t i = 0; n % nr && i < k; i++) /* the columns that are missing are numbers, which nobody stores */
            for (ptrdiff_t j = n % nr; j < nr; j++) expect_one("finite", isfinite(packed[(panels - 1) * panel + i * nr + j]), 1, 0);
    }
}

const word matmul_words[] = {WORD(matmul), WORD(matmul_pack_a), WORD(matmul_pack_b), {0}};
