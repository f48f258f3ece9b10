# cython: language_level=3
"""The C vocabulary: csrc/dlcore.h as Cython sees it, and the table in use."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef extern from "dlcore.h" nogil:
    enum: DLC_LINEAR, DLC_RELU, DLC_SIGMOID, DLC_TANH, DLC_RELU6
    enum: DLC_ABS, DLC_SIGN, DLC_SQUARE, DLC_SQRT, DLC_RSQRT, DLC_RECIPROCAL, DLC_EXP, DLC_EXPM1, DLC_LOG, DLC_LOG1P
    enum: DLC_POWER, DLC_CLIP, DLC_FLOOR, DLC_CEIL, DLC_ROUND, DLC_SIN, DLC_COS, DLC_ERF, DLC_SOFTPLUS, DLC_LOG_SIGMOID
    enum: DLC_RAMP, DLC_ELU, DLC_CELU, DLC_GELU, DLC_GELU_TANH, DLC_SILU, DLC_MISH, DLC_SOFTSIGN, DLC_HARD_SIGMOID
    enum: DLC_HARD_SILU, DLC_SOFT_SHRINK, DLC_HARD_SHRINK, DLC_TANH_SHRINK, DLC_THRESHOLD, DLC_SQUAREPLUS
    enum: DLC_SPARSE_PLUS
    enum: DLC_ADD, DLC_SUBTRACT, DLC_MULTIPLY, DLC_DIVIDE, DLC_MAXIMUM, DLC_MINIMUM, DLC_POW, DLC_PRELU, DLC_EQUAL
    enum: DLC_NOT_EQUAL, DLC_GREATER, DLC_GREATER_EQUAL
    enum: DLC_SUM, DLC_MAX, DLC_MIN
    enum: DLC_TILES, DLC_NR_MAX

    ctypedef struct dlc_gemm:
        const float *const *a
        float *const *c
        const float *b
        const float *bias
        const float *add
        const float *origin
        const Py_ssize_t *a_segment
        const Py_ssize_t *b_segment
        Py_ssize_t segments, kc, m
        int n, accumulate, activation

    ctypedef struct dlc_outer:
        const float *a
        const float *b
        float *c
        const Py_ssize_t *a_segment
        const Py_ssize_t *b_segment
        Py_ssize_t segments, kc, a_step, b_step, c_step
        int m, n, accumulate
        const float *next

    ctypedef struct dlc_correlate:
        const float *x
        const float *dy
        float *sums
        float *dw
        const Py_ssize_t *x_segment
        const Py_ssize_t *tap
        Py_ssize_t segments, cols, dy_segment, dy_plane, taps
        int n, accumulate

    ctypedef struct dlc_convolve:
        const float *x
        const float *w
        const float *bias
        float *y
        const Py_ssize_t *x_segment
        const Py_ssize_t *tap
        Py_ssize_t segments, cols, taps
        int n, activation

    ctypedef struct dlc_lanes_pool:
        const float *x
        const float *w
        const float *bias
        const Py_ssize_t *tap
        float *y
        float *pooled
        Py_ssize_t x_row, y_row, y_plane, pooled_plane, rows, cols, taps
        int n, activation

    ctypedef struct dlc_lanes_pool_gradient:
        const float *y
        const float *dy
        float *dz
        float *db
        Py_ssize_t y_row, y_plane, dy_plane, rows, cols
        int n, activation

    ctypedef struct dlc_matmul:
        const float *a
        Py_ssize_t a_row, a_step
        const float *b
        Py_ssize_t b_step, b_panel
        float *c
        Py_ssize_t c_row, m, n, k
        const float *bias
        float alpha, beta
        int packed, relu, plain

    ctypedef struct dlc_depthwise:
        const float *x
        Py_ssize_t x_step
        const Py_ssize_t *x_tap
        const Py_ssize_t *w_tap
        Py_ssize_t taps
        const float *w
        const float *bias
        float *y
        Py_ssize_t y_step, pixels, c
        int activation

    ctypedef struct dlc_depthwise_gradient:
        const float *x
        Py_ssize_t x_row, x_step
        const Py_ssize_t *x_tap
        const Py_ssize_t *w_tap
        Py_ssize_t taps
        const float *dy
        Py_ssize_t dy_row, rows, cols, c
        float *dw

    ctypedef struct dlc_depthwise_rows:
        const float *x[5]
        Py_ssize_t width
        int left, stride, rows
        const float *w
        Py_ssize_t w_step
        const float *bias
        float *y
        Py_ssize_t y_row, pixels, c
        int activation

    ctypedef struct dlc_depthwise_transposed:
        const float *dy[2]
        Py_ssize_t pixels
        const float *w
        float *dx[2]
        Py_ssize_t width, c
        int left

    ctypedef struct dlc_depthwise_rows_gradient:
        const float *x[5]
        Py_ssize_t width
        int left, stride, rows
        const float *dy
        Py_ssize_t pixels, c
        float *dw

    ctypedef struct dlc_conv_pool:
        const float *x
        Py_ssize_t window_step
        Py_ssize_t pixel[9]
        const Py_ssize_t *a_segment
        Py_ssize_t segments, kc
        const float *b
        Py_ssize_t b_step
        const float *bias
        float *y
        uint8_t *index
        Py_ssize_t y_step, windows
        int pixels, n, relu

    ctypedef struct dlc_conv_pool_gradient:
        const float *table
        Py_ssize_t rows, cols, row_step, col_step
        const Py_ssize_t *a_segment
        Py_ssize_t segments, kc
        const float *dy
        const uint8_t *index
        Py_ssize_t c
        int pixels
        float *dw
        float *db

    ctypedef struct dlc_winograd_pool:
        const float *d
        Py_ssize_t d_row, d_channel, rows, cols, channels
        const float *u
        Py_ssize_t u_step
        const float *bias
        float *y
        uint8_t *index
        Py_ssize_t y_step, n
        int relu

    ctypedef struct dlc_winograd_tile:
        const float *x
        Py_ssize_t row_step, pixel_step
        const float *zeros
        int count
        int top, bottom, left, right
        Py_ssize_t n
        float *tile
        Py_ssize_t point_step, panel_step
        const float *bias
        const float *add
        int activation

    ctypedef struct dlc_tiles:
        const char *isa
        int width
        int nr
        void (*gemm)(const dlc_gemm *t) noexcept nogil
        void (*gemm_row)(const float *a, Py_ssize_t kc, const float *b, Py_ssize_t b_panel, Py_ssize_t n, const float *bias,
                         int accumulate, int activation, float *c) noexcept nogil
        void (*pack)(const float *b, Py_ssize_t row_stride, Py_ssize_t col_stride, Py_ssize_t k, Py_ssize_t n,
                     float *panel) noexcept nogil
        int outer_rows, outer_rows_1
        void (*outer)(const dlc_outer *t) noexcept nogil
        void (*correlate)(const dlc_correlate *t) noexcept nogil
        void (*copy_rows)(const float *x, Py_ssize_t x_step, Py_ssize_t rows, Py_ssize_t n, float *y,
                          Py_ssize_t y_step) noexcept nogil
        void (*matmul)(const dlc_matmul *t) noexcept nogil
        void (*matmul_pack_a)(const float *a, Py_ssize_t row_step, Py_ssize_t k_step, Py_ssize_t m, Py_ssize_t k,
                              float *packed) noexcept nogil
        void (*matmul_pack_b)(const float *b, Py_ssize_t k_step, Py_ssize_t col_step, Py_ssize_t k, Py_ssize_t n,
                              Py_ssize_t panel_step, float *packed) noexcept nogil
        int matmul_rows, matmul_nr, matmul_lying, matmul_wide
        void (*depthwise)(const dlc_depthwise *t) noexcept nogil
        void (*depthwise_gradient)(const dlc_depthwise_gradient *t) noexcept nogil
        void (*depthwise_rows)(const dlc_depthwise_rows *t) noexcept nogil
        void (*depthwise_transposed)(const dlc_depthwise_transposed *t) noexcept nogil
        void (*depthwise_rows_gradient)(const dlc_depthwise_rows_gradient *t) noexcept nogil
        void (*spread)(const float *x, Py_ssize_t n, Py_ssize_t multiplier, float *y) noexcept nogil
        void (*gather_sums)(const float *y, Py_ssize_t n, Py_ssize_t multiplier, float *x) noexcept nogil
        void (*dot)(const float *x, Py_ssize_t x_step, Py_ssize_t rows, const float *w, Py_ssize_t k, Py_ssize_t n,
                    const float *bias, int activation, float *y) noexcept nogil
        void (*dot_input_gradient)(const float *dy, Py_ssize_t rows, Py_ssize_t n, const float *w, Py_ssize_t k,
                                   float *dx) noexcept nogil
        void (*dot_weight_gradient)(const float *x, Py_ssize_t x_step, Py_ssize_t rows, Py_ssize_t features,
                                    const float *dy, Py_ssize_t n, float *dw) noexcept nogil
        void (*transpose)(const float *x, Py_ssize_t x_step, Py_ssize_t rows, Py_ssize_t cols, float *y,
                          Py_ssize_t y_step) noexcept nogil
        void (*activate)(int kind, const float *x, float *y, Py_ssize_t n) noexcept nogil
        void (*activate_gradient)(int kind, const float *dy, const float *y, float *dx, Py_ssize_t n) noexcept nogil
        void (*add)(const float *a, const float *b, float *y, Py_ssize_t n) noexcept nogil
        void (*scale)(const float *x, float alpha, float *y, Py_ssize_t n) noexcept nogil
        void (*axpy)(float alpha, const float *x, float *y, Py_ssize_t n) noexcept nogil
        void (*sum_rows)(const float *x, Py_ssize_t rows, Py_ssize_t n, float *y, int accumulate) noexcept nogil
        void (*scale_u8)(const uint8_t *x, float alpha, float *y, Py_ssize_t n) noexcept nogil
        float (*softmax)(const float *x, float *y, Py_ssize_t n) noexcept nogil
        void (*softmax_gradient)(const float *dy, const float *y, float *dx, Py_ssize_t n) noexcept nogil
        void (*unary)(int kind, const float *p, const float *x, float *y, Py_ssize_t n) noexcept nogil
        void (*unary_gradient)(int kind, const float *p, const float *dy, const float *v, float *dx,
                               Py_ssize_t n) noexcept nogil
        void (*binary)(int kind, const float *a, int a_step, const float *b, int b_step, float *y,
                       Py_ssize_t n) noexcept nogil
        void (*select)(const float *c, int c_step, const float *a, int a_step, const float *b, int b_step, float *y,
                       Py_ssize_t n) noexcept nogil
        float (*reduce)(int kind, const float *x, Py_ssize_t n) noexcept nogil
        void (*reduce_rows)(int kind, const float *x, Py_ssize_t rows, Py_ssize_t n, float *y,
                            int accumulate) noexcept nogil
        float (*squared_error)(const float *y, const float *p, Py_ssize_t n) noexcept nogil
        void (*squared_error_gradient)(const float *y, const float *p, float alpha, float *dp, Py_ssize_t n) noexcept nogil
        void (*max_pool)(const float *x, Py_ssize_t row_stride, Py_ssize_t col_step, Py_ssize_t pixels, Py_ssize_t c,
                         int kh, int kw, int kw_whole, int first, float *y, uint8_t *index) noexcept nogil
        void (*max_pool_gradient)(const float *dy, const uint8_t *index, Py_ssize_t row_stride, Py_ssize_t col_step,
                                  Py_ssize_t pixels, Py_ssize_t c, int kh, int kw, int kw_whole, int first, float *dx,
                                  int accumulate) noexcept nogil
        void (*max_pool_wide)(const float *x, Py_ssize_t row_stride, Py_ssize_t col_step, Py_ssize_t pixels, Py_ssize_t c,
                              int kh, int kw, int kw_whole, int first, float *y, float *index) noexcept nogil
        void (*max_pool_gradient_wide)(const float *dy, const float *index, Py_ssize_t row_stride, Py_ssize_t col_step,
                                       Py_ssize_t pixels, Py_ssize_t c, int kw_whole, int first, float *dx) noexcept nogil
        void (*average_pool)(const float *x, Py_ssize_t row_stride, Py_ssize_t col_step, Py_ssize_t pixels,
                             Py_ssize_t c, int kh, int kw, float *y) noexcept nogil
        void (*average_pool_gradient)(const float *dy, Py_ssize_t row_stride, Py_ssize_t col_step, Py_ssize_t pixels,
                                      Py_ssize_t c, int kh, int kw, float *dx, int accumulate) noexcept nogil
        void (*convolve)(const dlc_convolve *t) noexcept nogil
        void (*lanes_pool)(const dlc_lanes_pool *t) noexcept nogil
        void (*lanes_pool_gradient)(const dlc_lanes_pool_gradient *t) noexcept nogil
        void (*gather_windows)(const float *t, Py_ssize_t t_step, Py_ssize_t count, Py_ssize_t n, const float *bias,
                               int activation, float *y) noexcept nogil
        void (*merge_pixels)(const float *w, Py_ssize_t kh, Py_ssize_t kw, Py_ssize_t c, Py_ssize_t n, Py_ssize_t pixels,
                             Py_ssize_t step, float *y, Py_ssize_t y_step) noexcept nogil
        void (*conv_pool)(const dlc_conv_pool *t) noexcept nogil
        float (*magnitude)(const float *x, Py_ssize_t n) noexcept nogil
        void (*conv_pool_table)(const float *x, Py_ssize_t n, const Py_ssize_t *pixel, int pixels,
                                float *table) noexcept nogil
        void (*conv_pool_gradient)(const dlc_conv_pool_gradient *t) noexcept nogil
        void (*winograd_input)(const float *x, Py_ssize_t x_step, Py_ssize_t rows, Py_ssize_t cols, float *d,
                               Py_ssize_t d_row) noexcept nogil
        void (*winograd_weights)(const float *w, Py_ssize_t w_step, Py_ssize_t n, float *u,
                                 Py_ssize_t u_step) noexcept nogil
        void (*winograd_pool)(const dlc_winograd_pool *t) noexcept nogil
        void (*winograd_pool_gradient)(const float *d, Py_ssize_t d_row, Py_ssize_t rows, Py_ssize_t cols,
                                       const float *dy, const uint8_t *index, Py_ssize_t c, float *s,
                                       Py_ssize_t s_step, float *db) noexcept nogil
        void (*winograd_weight_gradient)(const float *s, Py_ssize_t s_step, Py_ssize_t n, float *dw,
                                         Py_ssize_t dw_step) noexcept nogil
        int masked_fma
        void (*winograd_conv_input)(int mr, int mc, const dlc_winograd_tile *t) noexcept nogil
        void (*winograd_conv_output)(int mr, int mc, const dlc_winograd_tile *t, float *y) noexcept nogil
        void (*winograd_conv_pool)(int mr, int mc, const dlc_winograd_tile *t, float *y, uint8_t *index) noexcept nogil
        void (*winograd_conv_weights)(int mr, int mc, const float *w, Py_ssize_t w_step, Py_ssize_t row_step, Py_ssize_t rows,
                                      Py_ssize_t n, float *u, Py_ssize_t u_step) noexcept nogil
        void (*prefetch)(const float *x, Py_ssize_t n, int write) noexcept nogil
        void (*winograd_multiply)(const float *a, Py_ssize_t a_panel, Py_ssize_t k, const float *b, Py_ssize_t b_panel,
                                  float *c, Py_ssize_t c_panel, Py_ssize_t rows, Py_ssize_t n) noexcept nogil
        void (*winograd_multiply_transposed)(const float *a, Py_ssize_t k, const float *b, Py_ssize_t b_panel, float *c,
                                             Py_ssize_t c_panel, Py_ssize_t rows, Py_ssize_t n,
                                             int accumulate) noexcept nogil
        void (*winograd_gradient_input)(int row, const dlc_winograd_tile *t) noexcept nogil
        void (*winograd_gradient_output)(int row, const dlc_winograd_tile *t) noexcept nogil
        void (*winograd_gradient_weights)(const float *s, Py_ssize_t s_step, Py_ssize_t n, float *dw,
                                          Py_ssize_t dw_step) noexcept nogil
        float (*penalty)(const float *x, float l1, float l2, Py_ssize_t n) noexcept nogil
        void (*penalty_gradient)(const float *x, float a1, float a2, float *dx, Py_ssize_t n) noexcept nogil
        void (*moments)(const float *x, Py_ssize_t rows, Py_ssize_t n, double *mean, double *m2) noexcept nogil
        void (*affine)(const float *x, Py_ssize_t rows, Py_ssize_t n, const float *c, int linear, const float *add,
                       int activation, float *y) noexcept nogil
        void (*affine_sums)(const float *dy, const float *more, const float *y, const float *x, Py_ssize_t rows,
                            Py_ssize_t n, const float *c, int activation, float *g, float *sums) noexcept nogil
        void (*affine_gradient)(const float *dy, const float *x, Py_ssize_t rows, Py_ssize_t n, const float *c,
                                int activation, const float *lines, float *dx) noexcept nogil
        void (*row_moments)(const float *x, Py_ssize_t n, int centre, double *out) noexcept nogil
        void (*row_affine)(const float *x, Py_ssize_t n, const float *s, const float *gamma, const float *beta,
                           float *y) noexcept nogil
        void (*row_sums)(const float *dy, const float *x, Py_ssize_t n, const float *s, const float *gamma,
                         float *dgamma, float *dbeta, double *out) noexcept nogil
        void (*row_gradient)(const float *dy, const float *x, Py_ssize_t n, const float *s, const float *gamma,
                             float a, float b, float *dx) noexcept nogil
        void (*sgd)(float *w, const float *g, float *v, float lr, float momentum, int nesterov,
                    Py_ssize_t n) noexcept nogil
        void (*adam)(float *w, const float *g, float *m, float *v, float alpha, float rate1, float rate2,
                     float epsilon, Py_ssize_t n) noexcept nogil
        void (*optimizer_gradient)(const float *g, const float *sum, float scale, float clip, float *out,
                         Py_ssize_t n) noexcept nogil
        void (*moving_average)(const float *w, float *mean, float keep, float take, Py_ssize_t n) noexcept nogil
        void (*amsgrad)(float *w, const float *g, float *m, float *v, float *h, float alpha, float rate1, float rate2,
                        float epsilon, Py_ssize_t n) noexcept nogil
        void (*nadam)(float *w, const float *g, float *m, float *v, float am, float ag, float rate1, float rate2,
                      float correction, float epsilon, Py_ssize_t n) noexcept nogil
        void (*adamax)(float *w, const float *g, float *m, float *u, float alpha, float rate1, float beta2,
                       float epsilon, Py_ssize_t n) noexcept nogil
        void (*rmsprop)(float *w, const float *g, float *v, float *m, float *a, float lr, float rho, float rate,
                        float momentum, float epsilon, Py_ssize_t n) noexcept nogil
        void (*adagrad)(float *w, const float *g, float *s, float lr, float epsilon, Py_ssize_t n) noexcept nogil
        void (*adadelta)(float *w, const float *g, float *s, float *d, float lr, float rho, float rate, float epsilon,
                         Py_ssize_t n) noexcept nogil
        void (*lion)(float *w, const float *g, float *m, float lr, float beta1, float rate1, float beta2, float rate2,
                     Py_ssize_t n) noexcept nogil
        void (*dropout)(const float *x, float *y, Py_ssize_t n, uint64_t first, uint32_t layer, uint32_t step,
                        uint64_t seed, uint32_t threshold, float scale) noexcept nogil
        void (*gaussian)(const float *x, float *y, Py_ssize_t n, uint64_t first, uint32_t layer, uint32_t step,
                         uint64_t seed, float stddev, int multiply) noexcept nogil
        void (*random_words)(uint64_t counter, uint32_t layer, uint32_t step, uint64_t seed,
                             uint32_t *words) noexcept nogil

    const dlc_tiles *dlc_find(const char *isa)
    const char *dlc_isas[]
    int dlc_processor(char *vendor, int *family, int *model)

cdef const dlc_tiles *tiles() noexcept
