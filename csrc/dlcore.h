/* The tile vocabulary of dlcore: one table of functions per instruction set.
 *
 * Everything here is a leaf: single-threaded, no allocation, no error return. Arguments are checked by the kernel
 * factories in dlcore/kernels; nothing below them checks again. README.md in this folder states the contract of
 * each function. All sizes are in elements, all strides in floats. */
#ifndef DLCORE_H
#define DLCORE_H

#include <stddef.h>
#include <stdint.h>

enum { DLC_LINEAR, DLC_RELU, DLC_SIGMOID, DLC_TANH, DLC_RELU6 }; /* what the epilogue of a tile knows */

/* functions of one variable, with up to three parameters; see unary.inc */
enum {
    DLC_ABS, DLC_SIGN, DLC_SQUARE, DLC_SQRT, DLC_RSQRT, DLC_RECIPROCAL, DLC_EXP, DLC_EXPM1, DLC_LOG, DLC_LOG1P, DLC_POWER,
    DLC_CLIP, DLC_FLOOR, DLC_CEIL, DLC_ROUND, DLC_SIN, DLC_COS, DLC_ERF, DLC_SOFTPLUS, DLC_LOG_SIGMOID, DLC_RAMP, DLC_ELU,
    DLC_CELU, DLC_GELU, DLC_GELU_TANH, DLC_SILU, DLC_MISH, DLC_SOFTSIGN, DLC_HARD_SIGMOID, DLC_HARD_SILU,
    DLC_SOFT_SHRINK, DLC_HARD_SHRINK, DLC_TANH_SHRINK, DLC_THRESHOLD, DLC_SQUAREPLUS, DLC_SPARSE_PLUS
};

/* of two; the comparisons give 1 or 0, prelu is a > 0 ? a : a b */
enum { DLC_ADD, DLC_SUBTRACT, DLC_MULTIPLY, DLC_DIVIDE, DLC_MAXIMUM, DLC_MINIMUM, DLC_POW, DLC_PRELU, DLC_EQUAL, DLC_NOT_EQUAL,
       DLC_GREATER, DLC_GREATER_EQUAL };

enum { DLC_SUM, DLC_MAX, DLC_MIN };

#define DLC_TILES 16   /* Winograd tiles in a block */
#define DLC_NR_MAX 32  /* the widest tile; the table in use says its own nr */

/* c[r][j] (+)= sum over segments s and k < kc of a[r][a_segment[s] + k] * b[b_segment[s] + k*nr + j],
 * then + bias[j], then + add, then the activation, for r < m and j < n. */
typedef struct {
    const float *const *a;       /* m pointers */
    float *const *c;
    const float *b;              /* rows of nr floats */
    const float *bias;           /* NULL: none */
    const float *add;            /* lies as c does: what is added to c[r][j] is add[c[r] + j - origin]; NULL: nothing */
    const float *origin;
    const ptrdiff_t *a_segment;
    const ptrdiff_t *b_segment;
    ptrdiff_t segments, kc, m;
    int n;                       /* 1 to nr */
    int accumulate;              /* nonzero: c is read and added to */
    int activation;
} dlc_gemm;

/* c[r*c_step + j] (+)= sum over segments s and k < kc of a[a_segment[s] + k*a_step + r] * b[b_segment[s] + k*b_step + j],
 * for r < m and j < n. */
typedef struct {
    const float *a;
    const float *b;              /* rows may be read up to the end of a vector, whatever n is */
    float *c;
    const ptrdiff_t *a_segment;
    const ptrdiff_t *b_segment;
    ptrdiff_t segments, kc, a_step, b_step, c_step;
    int m;                       /* 1 to `outer_rows`, or `outer_rows_1` where n is at most `width` */
    int n;                       /* 1 to nr */
    int accumulate;              /* nonzero: c is read and added to */
    const float *next;           /* 16 floats of it for each k are brought into L2 meanwhile; they need not exist */
} dlc_outer;

/* sums[i*n + o] (+)= sum over segments s and vectors of j < cols of x[x_segment[s] + tap[i] + j] * dy[o*dy_plane +
 * s*dy_segment + j], a vector of them, for i < taps and o < n; then dw[i*n + o] = the sum of its lanes. */
typedef struct {
    const float *x;
    const float *dy;             /* rows go on to the end of a vector, with zeros */
    float *sums;                 /* taps * n vectors */
    float *dw;                   /* or NULL: more will be added to the sums */
    const ptrdiff_t *x_segment;
    const ptrdiff_t *tap;
    ptrdiff_t segments, cols, dy_segment, dy_plane, taps;
    int n;
    int accumulate;              /* nonzero: the sums are read and added to */
} dlc_correlate;

/* y[(s*cols + j)*n + o] = act(bias[o] + sum over i < taps of x[x_segment[s] + tap[i] + j] * w[i*n + o]), s < segments,
 * j < cols, o < n */
typedef struct {
    const float *x;
    const float *w;
    const float *bias;           /* (n,) or NULL */
    float *y;
    const ptrdiff_t *x_segment;
    const ptrdiff_t *tap;
    ptrdiff_t segments, cols, taps;
    int n, activation;
} dlc_convolve;

/* y[o][row][j] = act(bias[o] + sum over i < taps of x[row*x_row + tap[i] + j] * w[i*n + o]), row < 2 rows, j < 2 cols, o < n;
 * pooled[o][r][j] = the mean of y over two rows and columns from 2r and 2j on */
typedef struct {
    const float *x;
    const float *w;
    const float *bias;           /* (n,) or NULL */
    const ptrdiff_t *tap;
    float *y;                    /* or NULL; rows are written up to the end of a vector */
    float *pooled;
    ptrdiff_t x_row, y_row, y_plane, pooled_plane, rows, cols, taps; /* rows and cols of windows */
    int n, activation;
} dlc_lanes_pool;

/* dz[o][row][j] = act'(y[o][row][j]) * dy[o][row / 2][j / 2] / 4, zeros on to the end of a vector; db[o] += its sum */
typedef struct {
    const float *y;
    const float *dy;
    float *dz;                   /* lies as y does */
    float *db;
    ptrdiff_t y_row, y_plane, dy_plane, rows, cols; /* likewise */
    int n, activation;
} dlc_lanes_pool_gradient;

/* c = beta c + alpha a b + bias, then relu: (m, n) from (m, k) and (k, n). With beta = 0, c is not read. */
typedef struct {
    const float *a;              /* from matmul_pack_a, or as it lies: a[i*a_row + k*a_step] */
    ptrdiff_t a_row, a_step;
    const float *b;              /* b[k*b_step + j]; with b_panel, panels from matmul_pack_b, that far apart */
    ptrdiff_t b_step, b_panel;   /* b_panel 0: as it lies */
    float *c;
    ptrdiff_t c_row, m, n, k;
    const float *bias;           /* (n,) or NULL */
    float alpha, beta;
    int packed, relu;            /* packed: a is, and so is b */
    int plain;                   /* c = a b or c += a b, and nothing else */
} dlc_matmul;

/* y[p*y_step + j] = act(bias[j] + sum over taps s of x[p*x_step + x_tap[s] + j] * w[w_tap[s] + j]), p < pixels, j < c */
typedef struct {
    const float *x;
    ptrdiff_t x_step;            /* from pixel to pixel */
    const ptrdiff_t *x_tap, *w_tap;
    ptrdiff_t taps;
    const float *w;
    const float *bias;           /* (c,) or NULL */
    float *y;
    ptrdiff_t y_step, pixels, c;
    int activation;
} dlc_depthwise;

/* One or two rows of windows of 3 x 3, with i and k < 3:
 * y[r*y_row + p*c + j] = act(bias[j] + sum of x[r*stride + i][(p*stride + k - left)*c + j] * w[(3*i + k)*w_step + j]), p < pixels */
typedef struct {
    const float *x[5];           /* rows of `width` pixels, outside of which nothing is; NULL: so is all of the row */
    ptrdiff_t width;             /* the last window ends there, one pixel before or one after */
    int left, stride, rows;      /* left is 0 or 1, the others 1 or 2 */
    const float *w;
    ptrdiff_t w_step;
    const float *bias;           /* (c,) or NULL */
    float *y;
    ptrdiff_t y_row, pixels, c;
    int activation;
} dlc_depthwise_rows;

/* The transpose of a stride of two, for two rows of dx: dx[r][q*c + j] = sum of w[(3*i + k)*c + j] * dy[m][p*c + j] where
 * 2*m + i = r + 1 and 2*p + k - left = q */
typedef struct {
    const float *dy[2];          /* rows of `pixels`, or NULL: outside */
    ptrdiff_t pixels;
    const float *w;
    float *dx[2];                /* rows of `width`, or NULL: not wanted */
    ptrdiff_t width, c;
    int left;                    /* 0 or 1 */
} dlc_depthwise_transposed;

/* dw[(3*i + k)*c + j] += sum of x[r*stride + i][(p*stride + k - left)*c + j] * dy[(r*pixels + p)*c + j] */
typedef struct {
    const float *x[5];           /* as in dlc_depthwise_rows */
    ptrdiff_t width;
    int left, stride, rows;
    const float *dy;
    ptrdiff_t pixels, c;
    float *dw;
} dlc_depthwise_rows_gradient;

/* dw[w_tap[s] + j] += sum over row < rows and col < cols of x[row*x_row + col*x_step + x_tap[s] + j] * dy[row*dy_row + col*c + j] */
typedef struct {
    const float *x;
    ptrdiff_t x_row, x_step;
    const ptrdiff_t *x_tap, *w_tap;
    ptrdiff_t taps;
    const float *dy;
    ptrdiff_t dy_row, rows, cols, c;
    float *dw;
} dlc_depthwise_gradient;

/* A row of pooling windows over a convolution; see conv_pool.inc. */
typedef struct {
    const float *x;              /* under the first tap of the first window */
    ptrdiff_t window_step;       /* floats of x from window to window */
    ptrdiff_t pixel[9];          /* offsets of the pixels of a window, `pixels` of them, 1 to 9 */
    const ptrdiff_t *a_segment;  /* as in dlc_gemm */
    ptrdiff_t segments, kc;
    const float *b;              /* packed panel, one row every b_step floats */
    ptrdiff_t b_step;
    const float *bias;           /* (n,) or NULL */
    float *y;                    /* n channels of the first window, the next window y_step floats on */
    uint8_t *index;              /* likewise: position of the winner, `pixels` where ReLU cut it off; or NULL */
    ptrdiff_t y_step, windows;
    int pixels, n, relu;
} dlc_conv_pool;

/* Rows of such windows, and their gradient with respect to the weights. */
typedef struct {
    const float *table;          /* from conv_pool_table: entry 0 under the first tap of the first window */
    ptrdiff_t rows, cols, row_step, col_step; /* of windows; entries of the table from one to the next */
    const ptrdiff_t *a_segment;  /* taps, as in dlc_gemm; in entries of the table */
    ptrdiff_t segments, kc;
    const float *dy;             /* (rows, cols, c) */
    const uint8_t *index;        /* likewise */
    ptrdiff_t c;
    int pixels;
    float *dw, *db;              /* (segments*kc, c) and (c,) */
} dlc_conv_pool_gradient;

/* Windows of 2x2 max pooling over a 3x3 convolution, in Winograd's domain; see winograd.inc. */
typedef struct {
    const float *d;              /* from winograd_input; a row of windows d_row floats on, a channel d_channel */
    ptrdiff_t d_row, d_channel, rows, cols, channels;
    const float *u;              /* u[(channel*16 + k)*u_step + j], from winograd_weights */
    ptrdiff_t u_step;
    const float *bias;           /* (n,) or NULL */
    float *y;                    /* n channels of the first window, the next window y_step floats on */
    uint8_t *index;              /* likewise, or NULL */
    ptrdiff_t y_step, n;
    int relu;
} dlc_winograd_pool;

/* A run of tiles side by side and their transforms, for convolution in Winograd's domain; see winograd_conv.inc. */
typedef struct {
    const float *x;              /* the first pixel of the first tile, n channels; need not be inside the image */
    ptrdiff_t row_step, pixel_step;
    const float *zeros;          /* a vector of them, for pixels outside of the image */
    int count;                   /* tiles */
    int top, bottom, left, right; /* rows top..bottom-1 and columns left..right-1 of the run are inside the image */
    ptrdiff_t n;
    float *tile;                 /* tile[point*point_step + panel*panel_step + i*width + j]: channel panel*width + j, tile i */
    ptrdiff_t point_step, panel_step;
    const float *bias;           /* (n,) or NULL */
    const float *add;            /* added to the output, as which it lies, before the activation; NULL: nothing */
    int activation;
} dlc_winograd_tile;

typedef struct {
    const char *isa;
    int width; /* floats in a vector */
    int nr;    /* columns of the register tile: two vectors */

    /* gemm */
    void (*gemm)(const dlc_gemm *t);
    void (*gemm_row)(const float *a, ptrdiff_t kc, const float *b, ptrdiff_t b_panel, ptrdiff_t n, const float *bias,
                     int accumulate, int activation, float *c);
    void (*pack)(const float *b, ptrdiff_t row_stride, ptrdiff_t col_stride, ptrdiff_t k, ptrdiff_t n, float *panel);

    /* weight gradients of convolution */
    int outer_rows, outer_rows_1;                  /* rows of `outer` for two vectors of columns, for one */
    void (*outer)(const dlc_outer *t);
    void (*correlate)(const dlc_correlate *t);
    void (*copy_rows)(const float *x, ptrdiff_t x_step, ptrdiff_t rows, ptrdiff_t n, float *y, ptrdiff_t y_step);

    /* matmul: one of the steps of a matrix is 1 */
    void (*matmul)(const dlc_matmul *t);
    void (*matmul_pack_a)(const float *a, ptrdiff_t row_step, ptrdiff_t k_step, ptrdiff_t m, ptrdiff_t k, float *packed);
    void (*matmul_pack_b)(const float *b, ptrdiff_t k_step, ptrdiff_t col_step, ptrdiff_t k, ptrdiff_t n,
                          ptrdiff_t panel_step, float *packed);
    int matmul_rows, matmul_nr;  /* of a packed tile */
    int matmul_lying;            /* rows of a tile where a lies as it is */
    int matmul_wide;             /* up to here, b passes by once, in long pieces */

    /* depthwise */
    void (*depthwise)(const dlc_depthwise *t);
    void (*depthwise_rows)(const dlc_depthwise_rows *t);
    void (*depthwise_transposed)(const dlc_depthwise_transposed *t);
    void (*depthwise_rows_gradient)(const dlc_depthwise_rows_gradient *t);
    void (*depthwise_gradient)(const dlc_depthwise_gradient *t);
    void (*spread)(const float *x, ptrdiff_t n, ptrdiff_t multiplier, float *y);
    void (*gather_sums)(const float *y, ptrdiff_t n, ptrdiff_t multiplier, float *x);

    /* narrow: w (n, k) is transposed, n at most 32 */
    void (*dot)(const float *x, ptrdiff_t x_step, ptrdiff_t rows, const float *w, ptrdiff_t k, ptrdiff_t n,
                const float *bias, int activation, float *y);
    void (*dot_input_gradient)(const float *dy, ptrdiff_t rows, ptrdiff_t n, const float *w, ptrdiff_t k, float *dx);
    void (*dot_weight_gradient)(const float *x, ptrdiff_t x_step, ptrdiff_t rows, ptrdiff_t features, const float *dy,
                                ptrdiff_t n, float *dw);
    void (*transpose)(const float *x, ptrdiff_t x_step, ptrdiff_t rows, ptrdiff_t cols, float *y, ptrdiff_t y_step);

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

    /* elementwise; a step is 0 for one number that is used n times, or 1 */
    void (*unary)(int kind, const float *p, const float *x, float *y, ptrdiff_t n);
    void (*unary_gradient)(int kind, const float *p, const float *dy, const float *v, float *dx, ptrdiff_t n);
    void (*binary)(int kind, const float *a, int a_step, const float *b, int b_step, float *y, ptrdiff_t n);
    void (*select)(const float *c, int c_step, const float *a, int a_step, const float *b, int b_step, float *y,
                   ptrdiff_t n);
    float (*reduce)(int kind, const float *x, ptrdiff_t n);
    void (*reduce_rows)(int kind, const float *x, ptrdiff_t rows, ptrdiff_t n, float *y, int accumulate);

    /* losses */
    float (*squared_error)(const float *y, const float *p, ptrdiff_t n);
    void (*squared_error_gradient)(const float *y, const float *p, float alpha, float *dp, ptrdiff_t n);

    /* pooling */
    void (*max_pool)(const float *x, ptrdiff_t row_stride, ptrdiff_t col_step, ptrdiff_t pixels, ptrdiff_t c, int kh, int kw,
                     int kw_whole, int first, float *y, uint8_t *index);
    void (*max_pool_gradient)(const float *dy, const uint8_t *index, ptrdiff_t row_stride, ptrdiff_t col_step,
                              ptrdiff_t pixels, ptrdiff_t c, int kh, int kw, int kw_whole, int first, float *dx,
                              int accumulate);
    void (*max_pool_wide)(const float *x, ptrdiff_t row_stride, ptrdiff_t col_step, ptrdiff_t pixels, ptrdiff_t c, int kh,
                          int kw, int kw_whole, int first, float *y, float *index);
    void (*max_pool_gradient_wide)(const float *dy, const float *index, ptrdiff_t row_stride, ptrdiff_t col_step,
                                   ptrdiff_t pixels, ptrdiff_t c, int kw_whole, int first, float *dx);
    void (*average_pool)(const float *x, ptrdiff_t row_stride, ptrdiff_t col_step, ptrdiff_t pixels, ptrdiff_t c, int kh,
                         int kw, float *y);
    void (*average_pool_gradient)(const float *dy, ptrdiff_t row_stride, ptrdiff_t col_step, ptrdiff_t pixels, ptrdiff_t c,
                                  int kh, int kw, float *dx, int accumulate);

    /* convolution with few channels */
    void (*convolve)(const dlc_convolve *t);
    void (*lanes_pool)(const dlc_lanes_pool *t);
    void (*lanes_pool_gradient)(const dlc_lanes_pool_gradient *t);
    void (*gather_windows)(const float *t, ptrdiff_t t_step, ptrdiff_t count, ptrdiff_t n, const float *bias, int activation,
                           float *y);
    void (*merge_pixels)(const float *w, ptrdiff_t kh, ptrdiff_t kw, ptrdiff_t c, ptrdiff_t n, ptrdiff_t pixels,
                         ptrdiff_t step, float *y, ptrdiff_t y_step);

    /* convolution with pooling */
    void (*conv_pool)(const dlc_conv_pool *t);
    float (*magnitude)(const float *x, ptrdiff_t n);
    void (*conv_pool_table)(const float *x, ptrdiff_t n, const ptrdiff_t *pixel, int pixels, float *table);
    void (*conv_pool_gradient)(const dlc_conv_pool_gradient *t);

    /* Winograd F(2x2, 3x3) with pooling */
    void (*winograd_input)(const float *x, ptrdiff_t x_step, ptrdiff_t rows, ptrdiff_t cols, float *d, ptrdiff_t d_row);
    void (*winograd_weights)(const float *w, ptrdiff_t w_step, ptrdiff_t n, float *u, ptrdiff_t u_step);
    void (*winograd_pool)(const dlc_winograd_pool *t);
    void (*winograd_pool_gradient)(const float *d, ptrdiff_t d_row, ptrdiff_t rows, ptrdiff_t cols, const float *dy,
                                   const uint8_t *index, ptrdiff_t c, float *s, ptrdiff_t s_step, float *db);
    void (*winograd_weight_gradient)(const float *s, ptrdiff_t s_step, ptrdiff_t n, float *dw, ptrdiff_t dw_step);
    int masked_fma; /* nonzero: the instruction set has it, so winograd_pool_gradient beats conv_pool_gradient */

    /* Winograd F(mr x mc, 3x3) of whole layers: 2x2, 4x2 or 4x4 */
    void (*winograd_conv_input)(int mr, int mc, const dlc_winograd_tile *t);
    void (*winograd_conv_output)(int mr, int mc, const dlc_winograd_tile *t, float *y);
    void (*winograd_conv_pool)(int mr, int mc, const dlc_winograd_tile *t, float *y, uint8_t *index);
    void (*winograd_conv_weights)(int mr, int mc, const float *w, ptrdiff_t w_step, ptrdiff_t row_step, ptrdiff_t rows, ptrdiff_t n,
                                  float *u, ptrdiff_t u_step);
    void (*prefetch)(const float *x, ptrdiff_t n, int write);
    void (*winograd_multiply)(const float *a, ptrdiff_t a_panel, ptrdiff_t k, const float *b, ptrdiff_t b_panel, float *c,
                              ptrdiff_t c_panel, ptrdiff_t rows, ptrdiff_t n);
    void (*winograd_multiply_transposed)(const float *a, ptrdiff_t k, const float *b, ptrdiff_t b_panel, float *c,
                                         ptrdiff_t c_panel, ptrdiff_t rows, ptrdiff_t n, int accumulate);

    /* F(3x3, 4x2), a row of points at a time */
    void (*winograd_gradient_input)(int row, const dlc_winograd_tile *t);
    void (*winograd_gradient_output)(int row, const dlc_winograd_tile *t);
    void (*winograd_gradient_weights)(const float *s, ptrdiff_t s_step, ptrdiff_t n, float *dw, ptrdiff_t dw_step);

    /* norms */
    float (*penalty)(const float *x, float l1, float l2, ptrdiff_t n);
    void (*penalty_gradient)(const float *x, float a1, float a2, float *dx, ptrdiff_t n);
    /* normalisation */
    void (*moments)(const float *x, ptrdiff_t rows, ptrdiff_t n, double *mean, double *m2);
    void (*affine)(const float *x, ptrdiff_t rows, ptrdiff_t n, const float *c, int linear, const float *add, int activation,
                   float *y);
    void (*affine_sums)(const float *dy, const float *more, const float *y, const float *x, ptrdiff_t rows, ptrdiff_t n,
                        const float *c, int activation, float *g, float *sums);
    void (*affine_gradient)(const float *dy, const float *x, ptrdiff_t rows, ptrdiff_t n, const float *c, int activation,
                            const float *lines, float *dx);
    void (*row_moments)(const float *x, ptrdiff_t n, int centre, double *out);
    void (*row_affine)(const float *x, ptrdiff_t n, const float *s, const float *gamma, const float *beta, float *y);
    void (*row_sums)(const float *dy, const float *x, ptrdiff_t n, const float *s, const float *gamma, float *dgamma,
                     float *dbeta, double *out);
    void (*row_gradient)(const float *dy, const float *x, ptrdiff_t n, const float *s, const float *gamma, float a, float b,
                         float *dx);

    /* optimizers */
    void (*sgd)(float *w, const float *g, float *v, float lr, float momentum, int nesterov, ptrdiff_t n);
    void (*adam)(float *w, const float *g, float *m, float *v, float alpha, float rate1, float rate2, float epsilon,
                 ptrdiff_t n);
    void (*optimizer_gradient)(const float *g, const float *sum, float scale, float clip, float *out, ptrdiff_t n);
    void (*moving_average)(const float *w, float *mean, float keep, float take, ptrdiff_t n);
    void (*amsgrad)(float *w, const float *g, float *m, float *v, float *h, float alpha, float rate1, float rate2,
                    float epsilon, ptrdiff_t n);
    void (*nadam)(float *w, const float *g, float *m, float *v, float am, float ag, float rate1, float rate2,
                  float correction, float epsilon, ptrdiff_t n);
    void (*adamax)(float *w, const float *g, float *m, float *u, float alpha, float rate1, float beta2, float epsilon,
                   ptrdiff_t n);
    void (*rmsprop)(float *w, const float *g, float *v, float *m, float *a, float lr, float rho, float rate,
                    float momentum, float epsilon, ptrdiff_t n);
    void (*adagrad)(float *w, const float *g, float *s, float lr, float epsilon, ptrdiff_t n);
    void (*adadelta)(float *w, const float *g, float *s, float *d, float lr, float rho, float rate, float epsilon,
                     ptrdiff_t n);
    void (*lion)(float *w, const float *g, float *m, float lr, float beta1, float rate1, float beta2, float rate2,
                 ptrdiff_t n);

    /* random */
    void (*dropout)(const float *x, float *y, ptrdiff_t n, uint64_t first, uint32_t layer, uint32_t step, uint64_t seed,
                    uint32_t threshold, float scale);
    void (*gaussian)(const float *x, float *y, ptrdiff_t n, uint64_t first, uint32_t layer, uint32_t step, uint64_t seed,
                     float stddev, int multiply);
    void (*random_words)(uint64_t counter, uint32_t layer, uint32_t step, uint64_t seed, uint32_t words[4]);
} dlc_tiles;

/* The table called `isa`, or NULL when it was not compiled in or this processor cannot run it. */
const dlc_tiles *dlc_find(const char *isa);

/* Names of the instruction sets this build knows, worst first, ending in NULL, whether or not this processor runs them. */
extern const char *const dlc_isas[];

/* What cpuid says of this processor, as Linux shows it in /proc/cpuinfo; 0 and nothing where there is no cpuid. */
int dlc_processor(char vendor[13], int *family, int *model);

#endif
