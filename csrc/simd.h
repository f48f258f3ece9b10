/* A thin float32 vector vocabulary, so that every body in the .inc files is written once.
 *
 * vmax(a, b) is a > b ? a : b exactly, as x86 MAXPS does it: a NaN in either operand gives b. The bodies rely on it:
 * vmax(zero, x) lets a NaN in x through. A vb is a small number per lane; vwiden makes integers of them. vlookup4(t, i) is
 * t[i mod 4] in every lane, vlookup16 likewise. vposition says which of the four pixels of a window won, from three
 * comparisons. vsplit_pairs(a, b, e, o) puts the even floats of a and b into e, the odd ones into o; vdouble(a, l, h) puts each
 * float of a twice into l and h. vfma_if adds a*b where m holds. lanes(n) is how many of the n floats left fit one vector;
 * vloadn and vstoren touch just the first l lanes (vloadn fills the others with zeros).
 *
 * A vector is VW / 4 quarters `vq` of four floats: vload4s and vstore4s move each from or to a row of its own, `step` floats
 * apart, vgather4 loads them from p[0] + i, p[4] + i, ..., vtranspose4 transposes the 4x4 blocks that they make in four
 * vectors, vquarter adds the quarters, halves first.
 * vkeep(a) is a, in a register: where it is used more than once, a compiler may load it again each time. */
#ifndef DLCORE_SIMD_H
#define DLCORE_SIMD_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline, unused))
/* For the loop that follows: all of its rounds, known to be at most 32, written out one after the other; some at a time.
 * Clang does not know GCC's pragma, and GCC not Clang's. */
#if defined(__clang__)
#define UNROLL_ALL _Pragma("clang loop unroll(full)")
#define UNROLL_BY_TWO _Pragma("clang loop unroll_count(2)")
#else
#define UNROLL_ALL _Pragma("GCC unroll 32")
#define UNROLL_BY_TWO _Pragma("GCC unroll 2")
#endif

#if defined(__AVX512F__)
#include <immintrin.h>
#define VW 16
typedef __m512 vf;
typedef __m512i vi;
typedef __mmask16 vm;
typedef __m128 vq;
INLINE vf vload(const float *p) { return _mm512_loadu_ps(p); }
INLINE void vstore(float *p, vf a) { _mm512_storeu_ps(p, a); }
INLINE vf vload_tail(const float *p, int l) { return _mm512_maskz_loadu_ps((__mmask16)((1u << l) - 1), p); }
INLINE void vstore_tail(float *p, vf a, int l) { _mm512_mask_storeu_ps(p, (__mmask16)((1u << l) - 1), a); }
INLINE vf vset(float a) { return _mm512_set1_ps(a); }
INLINE vf vmax(vf a, vf b) { return _mm512_max_ps(a, b); }
INLINE vf vmin(vf a, vf b) { return _mm512_min_ps(a, b); }
INLINE vf vsqrt(vf a) { return _mm512_sqrt_ps(a); }
INLINE vf vround(vf a) { return _mm512_roundscale_ps(a, 0); }
INLINE vi vtoint(vf a) { return _mm512_cvtps_epi32(a); }
INLINE vf vpow2(vi n) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(n, _mm512_set1_epi32(127)), 23)); }
INLINE vf vabs(vf a) { return _mm512_abs_ps(a); }
INLINE vm vgt(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
INLINE vm vunordered(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_UNORD_Q); }
INLINE vm vandnot(vm a, vm b) { return (vm)(~a & b); }
INLINE vm vor(vm a, vm b) { return (vm)(a | b); }
INLINE vm vand(vm a, vm b) { return (vm)(a & b); }
INLINE vm vnot(vm a) { return (vm)~a; }
INLINE vf vselect(vm m, vf a, vf b) { return _mm512_mask_blend_ps(m, b, a); }
INLINE vi vmaxi(vi a, vi b) { return _mm512_max_epi32(a, b); }
typedef __m128i vb;
INLINE vb vsetb(int a) { return _mm_set1_epi8((char)a); }
INLINE vb vselectb(vm m, vb a, vb b) { return _mm_mask_blend_epi8(m, b, a); }
INLINE vm veqb(vb a, vb b) { return _mm_cmpeq_epi8_mask(a, b); }
INLINE vm vbit(vb a, int bit) { return _mm_test_epi8_mask(a, _mm_set1_epi8((char)bit)); }
INLINE vb vposition(vm right, vm low_right, vm low) {
    return vselectb(low, vselectb(low_right, vsetb(3), vsetb(2)), vselectb(right, vsetb(1), vsetb(0)));
}
INLINE vb vload_u8(const uint8_t *p) { return _mm_loadu_si128((const __m128i *)p); }
INLINE void vstore_u8(uint8_t *p, vb a) { _mm_storeu_si128((__m128i *)p, a); }
INLINE vi vwiden(vb a) { return _mm512_cvtepu8_epi32(a); }
INLINE vf vnegate(vm m, vf a) { return _mm512_mask_xor_ps(a, m, a, _mm512_set1_ps(-0.0f)); }
INLINE vf vfma_if(vm m, vf a, vf b, vf c) { return _mm512_mask3_fmadd_ps(a, b, c, m); }
INLINE void vsplit_pairs(vf a, vf b, vf *even, vf *odd) {
    const vi first = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    *even = _mm512_permutex2var_ps(a, first, b);
    *odd = _mm512_permutex2var_ps(a, _mm512_add_epi32(first, _mm512_set1_epi32(1)), b);
}
INLINE void vdouble(vf a, vf *low, vf *high) {
    const vi first = _mm512_set_epi32(7, 7, 6, 6, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0);
    *low = _mm512_permutexvar_ps(first, a);
    *high = _mm512_permutexvar_ps(_mm512_add_epi32(first, _mm512_set1_epi32(8)), a);
}
INLINE vf vtofloat(vi a) { return _mm512_cvtepi32_ps(a); }
INLINE vf vlookup16(const float *t, vi i) { return _mm512_permutexvar_ps(i, _mm512_loadu_ps(t)); }
INLINE vf vlookup4(const float *t, vi i) { return _mm512_permutevar_ps(_mm512_broadcast_f32x4(_mm_loadu_ps(t)), i); }
INLINE vf vload4s(const float *p, ptrdiff_t step) {
    vf a = _mm512_castps128_ps512(_mm_loadu_ps(p));
    a = _mm512_insertf32x4(a, _mm_loadu_ps(p + step), 1);
    a = _mm512_insertf32x4(a, _mm_loadu_ps(p + 2 * step), 2);
    return _mm512_insertf32x4(a, _mm_loadu_ps(p + 3 * step), 3);
}
INLINE vf vgather4(const float *const *p, ptrdiff_t i) {
    vf a = _mm512_castps128_ps512(_mm_loadu_ps(p[0] + i));
    a = _mm512_insertf32x4(a, _mm_loadu_ps(p[4] + i), 1);
    a = _mm512_insertf32x4(a, _mm_loadu_ps(p[8] + i), 2);
    return _mm512_insertf32x4(a, _mm_loadu_ps(p[12] + i), 3);
}
INLINE void vstore4s(float *p, ptrdiff_t step, vf a) {
    _mm_storeu_ps(p, _mm512_castps512_ps128(a));
    _mm_storeu_ps(p + step, _mm512_extractf32x4_ps(a, 1));
    _mm_storeu_ps(p + 2 * step, _mm512_extractf32x4_ps(a, 2));
    _mm_storeu_ps(p + 3 * step, _mm512_extractf32x4_ps(a, 3));
}
INLINE void vtranspose4(vf a[4]) {
    const __m512d t0 = (__m512d)_mm512_unpacklo_ps(a[0], a[1]), t1 = (__m512d)_mm512_unpackhi_ps(a[0], a[1]);
    const __m512d t2 = (__m512d)_mm512_unpacklo_ps(a[2], a[3]), t3 = (__m512d)_mm512_unpackhi_ps(a[2], a[3]);
    a[0] = (vf)_mm512_unpacklo_pd(t0, t2);
    a[1] = (vf)_mm512_unpackhi_pd(t0, t2);
    a[2] = (vf)_mm512_unpacklo_pd(t1, t3);
    a[3] = (vf)_mm512_unpackhi_pd(t1, t3);
}
INLINE vf vkeep(vf a) { __asm__("" : "+v"(a)); return a; }
INLINE vq vquarter(vf a) {
    const __m256 h = _mm512_castps512_ps256(a) + _mm512_extractf32x8_ps(a, 1);
    return _mm256_castps256_ps128(h) + _mm256_extractf128_ps(h, 1);
}

#elif defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#define VW 8
typedef __m256 vf;
typedef __m256i vi;
typedef __m256 vm;
typedef __m128 vq;
static const int32_t dlc_tail_mask[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
INLINE __m256i vtail(int l) { return _mm256_loadu_si256((const __m256i *)(dlc_tail_mask + 8 - l)); }
INLINE vf vload(const float *p) { return _mm256_loadu_ps(p); }
INLINE void vstore(float *p, vf a) { _mm256_storeu_ps(p, a); }
INLINE vf vload_tail(const float *p, int l) { return _mm256_maskload_ps(p, vtail(l)); }
INLINE void vstore_tail(float *p, vf a, int l) { _mm256_maskstore_ps(p, vtail(l), a); }
INLINE vf vset(float a) { return _mm256_set1_ps(a); }
INLINE vf vmax(vf a, vf b) { return _mm256_max_ps(a, b); }
INLINE vf vmin(vf a, vf b) { return _mm256_min_ps(a, b); }
INLINE vf vsqrt(vf a) { return _mm256_sqrt_ps(a); }
INLINE vf vround(vf a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
INLINE vi vtoint(vf a) { return _mm256_cvtps_epi32(a); }
INLINE vf vpow2(vi n) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23)); }
INLINE vf vabs(vf a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
INLINE vm vgt(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_GT_OQ); }
INLINE vm vunordered(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_UNORD_Q); }
INLINE vm vandnot(vm a, vm b) { return _mm256_andnot_ps(a, b); }
INLINE vm vor(vm a, vm b) { return _mm256_or_ps(a, b); }
INLINE vm vand(vm a, vm b) { return _mm256_and_ps(a, b); }
INLINE vm vnot(vm a) { return _mm256_xor_ps(a, _mm256_castsi256_ps(_mm256_set1_epi32(-1))); }
/* and, andnot, or: GCC turns blendv into a comparison of the mask with zero and a blend, which is slower */
INLINE vf vselect(vm m, vf a, vf b) { return _mm256_or_ps(_mm256_and_ps(m, a), _mm256_andnot_ps(m, b)); }
typedef vi vb;
INLINE vb vselectb(vm m, vb a, vb b) {
    return _mm256_castps_si256(vselect(m, _mm256_castsi256_ps(a), _mm256_castsi256_ps(b)));
}
INLINE vb vsetb(int a) { return _mm256_set1_epi32(a); }
INLINE vm veqb(vb a, vb b) { return _mm256_castsi256_ps(_mm256_cmpeq_epi32(a, b)); }
INLINE vi vmaxi(vi a, vi b) { return _mm256_max_epi32(a, b); }
INLINE vm vbit(vb a, int bit) { return veqb(_mm256_and_si256(a, vsetb(bit)), vsetb(bit)); }
INLINE vb vposition(vm right, vm low_right, vm low) { /* a mask is -1 */
    const vb top = _mm256_sub_epi32(vsetb(0), _mm256_castps_si256(right));
    const vb bottom = _mm256_sub_epi32(vsetb(2), _mm256_castps_si256(low_right));
    return _mm256_blendv_epi8(top, bottom, _mm256_castps_si256(low));
}
INLINE vf vnegate(vm m, vf a) { return _mm256_xor_ps(a, _mm256_and_ps(m, _mm256_set1_ps(-0.0f))); }
INLINE vf vfma_if(vm m, vf a, vf b, vf c) { return _mm256_fmadd_ps(a, _mm256_and_ps(m, b), c); }
INLINE void vsplit_pairs(vf a, vf b, vf *even, vf *odd) {
    const __m256d e = _mm256_castps_pd(_mm256_shuffle_ps(a, b, 0x88)), o = _mm256_castps_pd(_mm256_shuffle_ps(a, b, 0xdd));
    *even = _mm256_castpd_ps(_mm256_permute4x64_pd(e, 0xd8));
    *odd = _mm256_castpd_ps(_mm256_permute4x64_pd(o, 0xd8));
}
INLINE void vdouble(vf a, vf *low, vf *high) {
    const vf l = _mm256_unpacklo_ps(a, a), h = _mm256_unpackhi_ps(a, a);
    *low = _mm256_permute2f128_ps(l, h, 0x20);
    *high = _mm256_permute2f128_ps(l, h, 0x31);
}
INLINE vb vload_u8(const uint8_t *p) { return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)); }
INLINE vi vwiden(vb a) { return a; }
INLINE void vstore_u8(uint8_t *p, vb a) {
    __m128i w = _mm_packus_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    _mm_storel_epi64((__m128i *)p, _mm_packus_epi16(w, w));
}
INLINE vf vtofloat(vi a) { return _mm256_cvtepi32_ps(a); }
INLINE vf vlookup16(const float *t, vi i) {
    const vf low = _mm256_permutevar8x32_ps(_mm256_loadu_ps(t), i), high = _mm256_permutevar8x32_ps(_mm256_loadu_ps(t + 8), i);
    return _mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32(i, 28))); /* bit 3 of i chooses */
}
INLINE vf vlookup4(const float *t, vi i) { return _mm256_permutevar_ps(_mm256_broadcast_ps((const __m128 *)t), i); }
INLINE vf vload4s(const float *p, ptrdiff_t step) {
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), _mm_loadu_ps(p + step), 1);
}
INLINE vf vgather4(const float *const *p, ptrdiff_t i) {
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p[0] + i)), _mm_loadu_ps(p[4] + i), 1);
}
INLINE void vstore4s(float *p, ptrdiff_t step, vf a) {
    _mm_storeu_ps(p, _mm256_castps256_ps128(a));
    _mm_storeu_ps(p + step, _mm256_extractf128_ps(a, 1));
}
INLINE void vtranspose4(vf a[4]) {
    const __m256d t0 = (__m256d)_mm256_unpacklo_ps(a[0], a[1]), t1 = (__m256d)_mm256_unpackhi_ps(a[0], a[1]);
    const __m256d t2 = (__m256d)_mm256_unpacklo_ps(a[2], a[3]), t3 = (__m256d)_mm256_unpackhi_ps(a[2], a[3]);
    a[0] = (vf)_mm256_unpacklo_pd(t0, t2);
    a[1] = (vf)_mm256_unpackhi_pd(t0, t2);
    a[2] = (vf)_mm256_unpacklo_pd(t1, t3);
    a[3] = (vf)_mm256_unpackhi_pd(t1, t3);
}
INLINE vf vkeep(vf a) { __asm__("" : "+x"(a)); return a; }
INLINE vq vquarter(vf a) { return _mm256_castps256_ps128(a) + _mm256_extractf128_ps(a, 1); }

#elif defined(__aarch64__) && !defined(DLC_PORTABLE)
#include <arm_neon.h>
#define VW 4 /* 12 sums, 6 + 2 operands: a tile of 6 x 2 vectors fits the 32 registers, which is enough for 2 FMAs a cycle */
typedef float32x4_t vf;
typedef int32x4_t vi;
typedef uint32x4_t vm;
typedef float32x4_t vq;
INLINE vf vload(const float *p) { return vld1q_f32(p); }
INLINE void vstore(float *p, vf a) { vst1q_f32(p, a); }
INLINE vf vload_tail(const float *p, int l) {
    vf a = vdupq_n_f32(0.0f);
    if (l > 0) a = vld1q_lane_f32(p, a, 0);
    if (l > 1) a = vld1q_lane_f32(p + 1, a, 1);
    if (l > 2) a = vld1q_lane_f32(p + 2, a, 2);
    if (l > 3) a = vld1q_lane_f32(p + 3, a, 3);
    return a;
}
INLINE void vstore_tail(float *p, vf a, int l) {
    if (l > 0) vst1q_lane_f32(p, a, 0);
    if (l > 1) vst1q_lane_f32(p + 1, a, 1);
    if (l > 2) vst1q_lane_f32(p + 2, a, 2);
    if (l > 3) vst1q_lane_f32(p + 3, a, 3);
}
INLINE vf vset(float a) { return vdupq_n_f32(a); }
INLINE vf vselect(vm m, vf a, vf b) { return vbslq_f32(m, a, b); }
/* not FMAX and FMIN, which give NaN for one in either operand */
INLINE vf vmax(vf a, vf b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
INLINE vf vmin(vf a, vf b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
INLINE vf vsqrt(vf a) { return vsqrtq_f32(a); }
INLINE vf vround(vf a) { return vrndnq_f32(a); }
INLINE vi vtoint(vf a) { return vcvtnq_s32_f32(a); }
INLINE vf vpow2(vi n) { return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(n, vdupq_n_s32(127)), 23)); }
INLINE vf vabs(vf a) { return vabsq_f32(a); }
INLINE vm vgt(vf a, vf b) { return vcgtq_f32(a, b); }
INLINE vm vunordered(vf a, vf b) { return vmvnq_u32(vandq_u32(vceqq_f32(a, a), vceqq_f32(b, b))); }
INLINE vm vandnot(vm a, vm b) { return vbicq_u32(b, a); }
INLINE vm vor(vm a, vm b) { return vorrq_u32(a, b); }
INLINE vm vand(vm a, vm b) { return vandq_u32(a, b); }
INLINE vm vnot(vm a) { return vmvnq_u32(a); }
typedef vi vb;
INLINE vb vselectb(vm m, vb a, vb b) { return vbslq_s32(m, a, b); }
INLINE vb vsetb(int a) { return vdupq_n_s32(a); }
INLINE vm veqb(vb a, vb b) { return vceqq_s32(a, b); }
INLINE vi vmaxi(vi a, vi b) { return vmaxq_s32(a, b); }
INLINE vm vbit(vb a, int bit) { return vtstq_s32(a, vdupq_n_s32(bit)); }
INLINE vb vposition(vm right, vm low_right, vm low) { /* a mask is -1 */
    const vb top = vnegq_s32(vreinterpretq_s32_u32(right)), bottom = vsubq_s32(vsetb(2), vreinterpretq_s32_u32(low_right));
    return vbslq_s32(low, bottom, top);
}
INLINE vi vwiden(vb a) { return a; }
INLINE vf vnegate(vm m, vf a) {
    return vreinterpretq_f32_u32(veorq_u32(vreinterpretq_u32_f32(a), vandq_u32(m, vdupq_n_u32(0x80000000u))));
}
INLINE vf vfma_if(vm m, vf a, vf b, vf c) {
    return vfmaq_f32(c, a, vreinterpretq_f32_u32(vandq_u32(m, vreinterpretq_u32_f32(b))));
}
INLINE void vsplit_pairs(vf a, vf b, vf *even, vf *odd) {
    *even = vuzp1q_f32(a, b);
    *odd = vuzp2q_f32(a, b);
}
INLINE void vdouble(vf a, vf *low, vf *high) {
    *low = vzip1q_f32(a, a);
    *high = vzip2q_f32(a, a);
}
INLINE vb vload_u8(const uint8_t *p) {
    uint32_t four;
    memcpy(&four, p, sizeof four);
    return vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(four)))));
}
INLINE void vstore_u8(uint8_t *p, vb a) {
    const uint16x4_t half = vmovn_u32(vreinterpretq_u32_s32(a));
    const uint32_t four = vget_lane_u32(vreinterpret_u32_u8(vmovn_u16(vcombine_u16(half, half))), 0);
    memcpy(p, &four, sizeof four);
}
INLINE vf vtofloat(vi a) { return vcvtq_f32_s32(a); }
/* a table of floats is one of bytes: float i begins at byte 4i */
INLINE uint8x16_t vbytes(vi i, int mask) {
    const vi first = vmulq_s32(vandq_s32(i, vdupq_n_s32(mask)), vdupq_n_s32(0x04040404));
    return vreinterpretq_u8_s32(vaddq_s32(first, vdupq_n_s32(0x03020100)));
}
INLINE vf vlookup16(const float *t, vi i) { return vreinterpretq_f32_u8(vqtbl4q_u8(vld1q_u8_x4((const uint8_t *)t), vbytes(i, 15))); }
INLINE vf vlookup4(const float *t, vi i) { return vreinterpretq_f32_u8(vqtbl1q_u8(vld1q_u8((const uint8_t *)t), vbytes(i, 3))); }
INLINE vf vload4s(const float *p, ptrdiff_t step) { (void)step; return vload(p); }
INLINE vf vgather4(const float *const *p, ptrdiff_t i) { return vload(p[0] + i); }
INLINE void vstore4s(float *p, ptrdiff_t step, vf a) { (void)step; vstore(p, a); }
INLINE void vtranspose4(vf a[4]) {
    const float64x2_t t0 = vreinterpretq_f64_f32(vtrn1q_f32(a[0], a[1])), t1 = vreinterpretq_f64_f32(vtrn2q_f32(a[0], a[1]));
    const float64x2_t t2 = vreinterpretq_f64_f32(vtrn1q_f32(a[2], a[3])), t3 = vreinterpretq_f64_f32(vtrn2q_f32(a[2], a[3]));
    a[0] = vreinterpretq_f32_f64(vtrn1q_f64(t0, t2));
    a[1] = vreinterpretq_f32_f64(vtrn1q_f64(t1, t3));
    a[2] = vreinterpretq_f32_f64(vtrn2q_f64(t0, t2));
    a[3] = vreinterpretq_f32_f64(vtrn2q_f64(t1, t3));
}
INLINE vf vkeep(vf a) { __asm__("" : "+w"(a)); return a; }
INLINE vq vquarter(vf a) { return a; }

#else /* portable: GCC and Clang vector types of 16 bytes, SSE2 or NEON or scalar code, as the target has it */
#include <math.h>
#define VW 4
typedef float vf __attribute__((vector_size(16)));
typedef int32_t vi __attribute__((vector_size(16)));
typedef vi vm;
typedef vf vq;
INLINE vf vload(const float *p) { vf a; memcpy(&a, p, sizeof a); return a; }
INLINE void vstore(float *p, vf a) { memcpy(p, &a, sizeof a); }
INLINE vf vload_tail(const float *p, int l) { vf a = {0}; for (int i = 0; i < l; i++) a[i] = p[i]; return a; }
INLINE void vstore_tail(float *p, vf a, int l) { for (int i = 0; i < l; i++) p[i] = a[i]; }
INLINE vf vset(float a) { return (vf){a, a, a, a}; }
INLINE vf vselect(vm m, vf a, vf b) { return (vf)((m & (vi)a) | (~m & (vi)b)); }
INLINE vf vmax(vf a, vf b) { return vselect(a > b, a, b); }
INLINE vf vmin(vf a, vf b) { return vselect(a < b, a, b); }
INLINE vf vsqrt(vf a) { for (int i = 0; i < VW; i++) a[i] = sqrtf(a[i]); return a; }
/* adding and taking away 1.5 * 2^23 rounds to the nearest integer for |a| < 2^22, which is all exp asks for */
INLINE vf vround(vf a) { vf c = vset(12582912.0f); vf s = a + c; __asm__("" : "+m"(s)); return s - c; }
INLINE vi vtoint(vf a) { return __builtin_convertvector(a, vi); }
INLINE vf vpow2(vi n) { return (vf)((n + 127) << 23); }
INLINE vf vabs(vf a) { return (vf)((vi)a & 0x7fffffff); }
INLINE vm vgt(vf a, vf b) { return a > b; }
INLINE vm vunordered(vf a, vf b) { return (a != a) | (b != b); }
INLINE vm vandnot(vm a, vm b) { return ~a & b; }
INLINE vm vor(vm a, vm b) { return a | b; }
INLINE vm vand(vm a, vm b) { return a & b; }
INLINE vm vnot(vm a) { return ~a; }
typedef vi vb;
INLINE vb vselectb(vm m, vb a, vb b) { return (m & a) | (~m & b); }
INLINE vb vsetb(int a) { return (vb){a, a, a, a}; }
INLINE vm veqb(vb a, vb b) { return a == b; }
INLINE vi vmaxi(vi a, vi b) { return vselectb(a > b, a, b); }
INLINE vm vbit(vb a, int bit) { return (a & bit) != 0; }
INLINE vb vposition(vm right, vm low_right, vm low) { return vselectb(low, 2 - low_right, -right); } /* a mask is -1 */
INLINE vi vwiden(vb a) { return a; }
INLINE vf vnegate(vm m, vf a) { return (vf)((vi)a ^ (m & (vi)vset(-0.0f))); }
INLINE vf vfma_if(vm m, vf a, vf b, vf c) { return a * (vf)(m & (vi)b) + c; }
INLINE void vsplit_pairs(vf a, vf b, vf *even, vf *odd) {
    *even = (vf){a[0], a[2], b[0], b[2]};
    *odd = (vf){a[1], a[3], b[1], b[3]};
}
INLINE void vdouble(vf a, vf *low, vf *high) {
    *low = (vf){a[0], a[0], a[1], a[1]};
    *high = (vf){a[2], a[2], a[3], a[3]};
}
INLINE vb vload_u8(const uint8_t *p) { return (vb){p[0], p[1], p[2], p[3]}; }
INLINE void vstore_u8(uint8_t *p, vb a) { for (int i = 0; i < VW; i++) p[i] = (uint8_t)a[i]; }
INLINE vf vtofloat(vi a) { return __builtin_convertvector(a, vf); }
INLINE vf vlookup16(const float *t, vi i) { return (vf){t[i[0] & 15], t[i[1] & 15], t[i[2] & 15], t[i[3] & 15]}; }
INLINE vf vlookup4(const float *t, vi i) { return (vf){t[i[0] & 3], t[i[1] & 3], t[i[2] & 3], t[i[3] & 3]}; }
INLINE vf vload4s(const float *p, ptrdiff_t step) { (void)step; return vload(p); }
INLINE vf vgather4(const float *const *p, ptrdiff_t i) { return vload(p[0] + i); }
INLINE void vstore4s(float *p, ptrdiff_t step, vf a) { (void)step; vstore(p, a); }
INLINE void vtranspose4(vf a[4]) {
    const vf t[4] = {a[0], a[1], a[2], a[3]};
    for (int i = 0; i < 4; i++) a[i] = (vf){t[0][i], t[1][i], t[2][i], t[3][i]};
}
INLINE vf vkeep(vf a) { return a; }
INLINE vq vquarter(vf a) { return a; }
#endif

/* + - * / work on vf as they are (vector types); a*b + c becomes one fused multiply-add where the target has it,
 * because the build asks for -ffp-contract=fast. */

/* The lanes as integers, for what has no name above. */
typedef int32_t vbits __attribute__((vector_size(4 * VW)));

/* Asks for what will be read soon, into L2; the address may be any. FAR ahead is soon enough from memory, where a pass does
 * little: processors guess, but not beyond the end of a page. */
enum { FAR = 2048 };
INLINE void vfetch(const float *p) { __builtin_prefetch(p, 0, 2); }

INLINE int lanes(ptrdiff_t n) { return n < VW ? (int)n : VW; }
INLINE vf vloadn(const float *p, int l) { return l == VW ? vload(p) : vload_tail(p, l); }
INLINE void vstoren(float *p, vf a, int l) { if (l == VW) vstore(p, a); else vstore_tail(p, a, l); }
#if VW == 16
INLINE vb vloadn_u8(const uint8_t *p, int l) { return _mm_maskz_loadu_epi8((__mmask16)((1u << l) - 1), p); }
INLINE void vstoren_u8(uint8_t *p, vb a, int l) { _mm_mask_storeu_epi8(p, (__mmask16)((1u << l) - 1), a); }
#else
INLINE vb vloadn_u8(const uint8_t *p, int l) {
    if (l == VW) return vload_u8(p);
#if VW == 8 /* in a register: loading a vector of bytes that were just stored one by one would wait for them */
    uint64_t t = 0;
    for (int i = l; i-- > 0;) t = t << 8 | p[i];
    return _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((int64_t)t));
#else
    uint8_t t[VW] = {0};
    for (int i = 0; i < l; i++) t[i] = p[i];
    return vload_u8(t);
#endif
}
INLINE void vstoren_u8(uint8_t *p, vb a, int l) {
    if (l == VW) { vstore_u8(p, a); return; }
    uint8_t t[VW];
    vstore_u8(t, a);
    for (int i = 0; i < l; i++) p[i] = t[i];
}
#endif

/* Sums lanes pairwise, halves first: the order is the same for every caller, and in vsum4, which sums four vectors. */
INLINE float vsum(vf a) {
    const vq q = vquarter(a);
    return (q[0] + q[2]) + (q[1] + q[3]);
}
INLINE vq vsum4(const vf a[4]) {
    const vq q[4] = {vquarter(a[0]), vquarter(a[1]), vquarter(a[2]), vquarter(a[3])};
    vq t[4]; /* lane by lane */
    for (int i = 0; i < 4; i++) t[i] = (vq){q[0][i], q[1][i], q[2][i], q[3][i]};
    return (t[0] + t[2]) + (t[1] + t[3]);
}
/* A NaN in any lane comes out. */
INLINE float vmaximum(vf a) {
    float t[VW], m;
    vstore(t, a);
    m = t[0];
    for (int i = 1; i < VW; i++) m = m > t[i] || m != m ? m : t[i];
    return m;
}
#define vzero() vset(0.0f)

#endif
