/* The tile vocabulary of dlcore: one table of functions per instruction set.
 *
 * Everything here is a leaf: single-threaded, no allocation, no error return. Arguments are checked by the kernel
 * factories in dlcore/kernels; nothing below them checks again. README.md in this folder states the contract of
 * each function. All sizes are in elements, all strides in floats. */
#ifndef DLCORE_H
#define DLCORE_H

#include <stddef.h>
#include <stdint.h>

enum { DLC_LINEAR, DLC_RELU, DLC_SIGMOID, DLC_TANH };

#define DLC_MR 6       /* rows of the register tile, the same for every instruction set */
#define DLC_NR_MAX 32  /* the widest tile; the table in use says its own nr */

/* c[r][j] (+)= sum over segments s and k < kc of a[r][a_segment[s] + k*a_step] * b[b_segment[s] + k*b_step + j],
 * then + bias[j], then the activation, for r < m and j < n. A row pointer past m repeats the last valid one. */
typedef struct {
    const float *a[DLC_MR];
    float *c[DLC_MR];
    const float *b;
    const float *bias;           /* NULL: none */
    const ptrdiff_t *a_segment;
    const ptrdiff_t *b_segment;
    ptrdiff_t segments, kc, a_step, b_step;
    int m, n;
    int b_padded;                /* nonzero: b rows may be read up to nr, whatever n is (packed panels) */
    int accumulate;              /* nonzero: c is read and added to */
    int activation;
} dlc_gemm;

typedef struct {
    const char *isa;
    int width; /* floats in a vector */
    int nr;    /* columns of the register tile: two vectors */

    /* gemm */
    void (*gemm)(const dlc_gemm *t);
    void (*pack)(const float *b, ptrdiff_t row_stride, ptrdiff_t col_stride, ptrdiff_t k, ptrdiff_t n, float *panel);

    /* rows */
    void (*activate)(int kind, const float *x, float *y, ptrdiff_t n);
    void (*activate_gradient)(int kind, const float *dy, const float *y, float *dx, ptrdiff_t n);
    void (*add)(const float *a, const float *b, float *y, ptrdiff_t n);
    void (*scale)(const float *x, float alpha, float *y, ptrdiff_t n);
    void (*axpy)(float alpha, const float *x, float *y, ptrdiff_t n);
    void (*sum_rows)(const float *x, ptrdiff_t rows, ptrdiff_t n, float *y, int accumulate);
    void (*scale_u8)(const uint8_t *x, float alpha, float *y, ptrdiff_t n);
    float (*softmax)(const float *x, float *y, ptrdiff_t n);
    void (*softmax_gradient)(const float *dy, const float *y, float *dx, ptrdiff_t n);

    /* losses */
    float (*squared_error)(const float *y, const float *p, ptrdiff_t n);
    void (*squared_error_gradient)(const float *y, const float *p, float alpha, float *dp, ptrdiff_t n);

    /* pooling */
    void (*max_pool)(const float *x, ptrdiff_t row_stride, ptrdiff_t col_step, ptrdiff_t pixels, ptrdiff_t c, int kh, int kw,
                     int kw_whole, int first, float *y, uint8_t *index);
    void (*max_pool_gradient)(const float *dy, const uint8_t *index, ptrdiff_t row_stride, ptrdiff_t col_step,
                              ptrdiff_t pixels, ptrdiff_t c, int kh, int kw, int kw_whole, int first, float *dx,
                              int accumulate);
    void (*average_pool)(const float *x, ptrdiff_t row_stride, ptrdiff_t col_step, ptrdiff_t pixels, ptrdiff_t c, int kh,
                         int kw, float *y);
    void (*average_pool_gradient)(const float *dy, ptrdiff_t row_stride, ptrdiff_t col_step, ptrdiff_t pixels, ptrdiff_t c,
                                  int kh, int kw, float *dx);

    /* optimizers */
    void (*sgd)(float *w, const float *g, float *v, float lr, float momentum, int nesterov, ptrdiff_t n);
    void (*adam)(float *w, const float *g, float *m, float *v, float alpha, float rate1, float rate2, float epsilon,
                 ptrdiff_t n);

    /* random */
    void (*dropout)(const float *x, float *y, ptrdiff_t n, uint64_t first, uint32_t layer, uint32_t step, uint64_t seed,
                    uint32_t threshold, float scale);
} dlc_tiles;

/* The table called `isa`, or NULL when it was not compiled in or this processor cannot run it. */
const dlc_tiles *dlc_find(const char *isa);

/* Names of the instruction sets this build knows, worst first, ending in NULL, whether or not this processor runs them. */
extern const char *const dlc_isas[];

#endif
