#include "check.h"

typedef struct { ptrdiff_t row_stride, col_step, pixels, c; int kh, kw, kw_whole, first; } windows;

static ptrdiff_t reach(const windows *p) { return (p->pixels - 1) * p->col_step + (p->kh - 1) * p->row_stride + p->kw * p->c; }
static ptrdiff_t at(const windows *p, ptrdiff_t window, int ky, int kx, ptrdiff_t j) {
    return window * p->col_step + ky * p->row_stride + kx * p->c + j;
}

/* windows beside each other, overlapping, clipped */
#define WINDOWS(p, channels) \
    EACH(windows, p, {11 * channels, 2 * channels, 5, channels, 2, 2, 2, 0}, {11 * channels, channels, 4, channels, 3, 2, 2, 0}, \
         {14 * channels, 3 * channels, 3, channels, 2, 3, 4, 5}, {3 * channels, 7, 1, channels, 1, 1, 3, 4})

/* the first maximum, a NaN before all */
static void pooled(const windows *p, const float *x, double *y, uint8_t *index) {
    for (ptrdiff_t w = 0; w < p->pixels; w++)
        for (ptrdiff_t j = 0; j < p->c; j++) {
            double best = x[at(p, w, 0, 0, j)];
            int winner = p->first;
            for (int ky = 0; ky < p->kh; ky++)
                for (int kx = 0; kx < p->kw; kx++) {
                    const double v = x[at(p, w, ky, kx, j)];
                    if (!isnan(best) && (v > best || isnan(v))) {
                        best = v;
                        winner = p->first + ky * p->kw_whole + kx;
                    }
                }
            y[w * p->c + j] = best;
            index[w * p->c + j] = (uint8_t)winner;
        }
}

static void test_max_pool(const dlc_tiles *t) {
    EACH(ptrdiff_t, channels, 1, 2, 3, 4, 5, 8, 9, 17, 33, 70) WINDOWS(p, channels) {
        const ptrdiff_t n = p.pixels * p.c;
        const float *x = wild(reach(&p));
        float *y = blank(n), *wide = blank(n), *where = blank(n), *plain = blank(n);
        double *want = doubles(n), *winner = doubles(n);
        uint8_t *index = blank_bytes(n), *right = blank_bytes(n);
        pooled(&p, x, want, right);
        for (ptrdiff_t i = 0; i < n; i++) winner[i] = right[i];
        t->max_pool(x, p.row_stride, p.col_step, p.pixels, p.c, p.kh, p.kw, p.kw_whole, p.first, y, index);
        t->max_pool(x, p.row_stride, p.col_step, p.pixels, p.c, p.kh, p.kw, p.kw_whole, p.first, plain, NULL);
        t->max_pool_wide(x, p.row_stride, p.col_step, p.pixels, p.c, p.kh, p.kw, p.kw_whole, p.first, wide, where);
        expect("y", y, want, n, 0);
        expect("y without index", plain, want, n, 0);
        expect("y of wide", wide, want, n, 0);
        expect_bytes("index", index, right, n);
        expect("index of wide", where, winner, n, 0);
    }
}

static void test_max_pool_gradient(const dlc_tiles *t) {
    EACH(ptrdiff_t, channels, 1, 3, 4, 5, 9, 17, 33) WINDOWS(p, channels) EACH(int, accumulate, 0, 1) {
        const ptrdiff_t n = p.pixels * p.c, size = reach(&p);
        const float *dy = quarters(n);
        uint8_t *index = random_bytes(n, p.kh * p.kw);
        float *where = blank(n), *dx = quarters(size), *wide = copy(dx, size);
        double *want = doubles(size), *added = doubles(size);
        if (!accumulate && p.col_step < p.kw * p.c) continue; /* they overlap */
        for (ptrdiff_t i = 0; i < n; i++) where[i] = index[i] = (uint8_t)(p.first + index[i] / p.kw * p.kw_whole + index[i] % p.kw);
        for (ptrdiff_t i = 0; i < size; i++) want[i] = added[i] = dx[i];
        for (ptrdiff_t w = 0; w < p.pixels; w++)
            for (int ky = 0; ky < p.kh; ky++)
                for (int kx = 0; kx < p.kw; kx++)
                    for (ptrdiff_t j = 0; j < p.c; j++) {
                        const double g = index[w * p.c + j] == p.first + ky * p.kw_whole + kx ? dy[w * p.c + j] : 0;
                        want[at(&p, w, ky, kx, j)] = g + (accumulate ? want[at(&p, w, ky, kx, j)] : 0);
                        added[at(&p, w, ky, kx, j)] += g;
                    }
        t->max_pool_gradient(dy, index, p.row_stride, p.col_step, p.pixels, p.c, p.kh, p.kw, p.kw_whole, p.first, dx, accumulate);
        expect("dx", dx, want, size, 0);
        t->max_pool_gradient_wide(dy, where, p.row_stride, p.col_step, p.pixels, p.c, p.kw_whole, p.first, wide);
        expect("dx of wide", wide, added, size, 0);
    }
}

static void test_average_pool(const dlc_tiles *t) {
    EACH(ptrdiff_t, channels, 1, 3, 4, 5, 6, 9, 12, 17, 20, 33) WINDOWS(p, channels) {
        const ptrdiff_t n = p.pixels * p.c;
        const float *x = quarters(reach(&p));
        float *y = blank(n);
        double *mean = doubles(n);
        for (ptrdiff_t w = 0; w < p.pixels; w++)
            for (int ky = 0; ky < p.kh; ky++)
                for (int kx = 0; kx < p.kw; kx++)
                    for (ptrdiff_t j = 0; j < p.c; j++) mean[w * p.c + j] += x[at(&p, w, ky, kx, j)] / (double)(p.kh * p.kw);
        t->average_pool(x, p.row_stride, p.col_step, p.pixels, p.c, p.kh, p.kw, y);
        expect("y", y, mean, n, 1e-6);
    }
}

static void test_average_pool_gradient(const dlc_tiles *t) {
    EACH(ptrdiff_t, channels, 1, 3, 4, 5, 6, 9, 12, 17, 20, 33) WINDOWS(p, channels) EACH(int, accumulate, 0, 1) {
        const ptrdiff_t n = p.pixels * p.c, size = reach(&p);
        const float *dy = wild(n);
        float *dx = quarters(size);
        double *want = doubles(size);
        if (!accumulate && p.pixels > 1 && p.col_step != p.kw * p.c) continue; /* they overlap or leave gaps */
        for (ptrdiff_t i = 0; i < size; i++) want[i] = dx[i];
        for (ptrdiff_t w = 0; w < p.pixels; w++)
            for (int ky = 0; ky < p.kh; ky++)
                for (int kx = 0; kx < p.kw; kx++)
                    for (ptrdiff_t j = 0; j < p.c; j++) {
                        const ptrdiff_t to = at(&p, w, ky, kx, j);
                        want[to] = dy[w * p.c + j] / (double)(p.kh * p.kw) + (accumulate ? want[to] : 0);
                    }
        t->average_pool_gradient(dy, p.row_stride, p.col_step, p.pixels, p.c, p.kh, p.kw, dx, accumulate);
        expect("dx", dx, want, size, 1e-6);
    }
}

const word pooling_words[] = {WORD(max_pool), WORD_BY(max_pool_wide, test_max_pool), WORD(max_pool_gradient),
                              WORD_BY(max_pool_gradient_wide, test_max_pool_gradient), WORD(average_pool),
                              WORD(average_pool_gradient), {0}};
