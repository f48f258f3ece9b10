/* The vocabulary of simd.h lane by lane, bit by bit, for the instruction set that the compiler's flags choose: a program of
 * its own. The exit status is 1 when something differs. */
#include <math.h>
#include <stdio.h>

#include "simd.h"

static int failures;
static const float awkward[] = {0.0f, -0.0f, 1.0f, -1.0f, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -2.5f, 2.4999998f, 1e-30f, 3e6f, -3e6f,
                                1e30f, INFINITY, -INFINITY, NAN};
enum { AWKWARD = sizeof awkward / sizeof *awkward };

static void same(const char *what, vf found, const float *want) {
    float lane[VW];
    vstore(lane, found);
    for (int i = 0; i < VW; i++)
        if (isnan(want[i]) ? !isnan(lane[i]) : memcmp(lane + i, want + i, sizeof *lane) != 0) {
            printf("%s: lane %d is %.9g instead of %.9g\n", what, i, lane[i], want[i]);
            failures++;
            return;
        }
}

/* EXPRESSION of lanes x, y against VALUE of the numbers a, b, for a and b that differ from lane to lane; a mask is 1 or 0 */
#define CHECK(EXPRESSION, VALUE) do { \
        float want_[VW]; \
        for (int i = 0; i < VW; i++) { \
            const float a = as[i], b = bs[i]; \
            (void)a, (void)b; \
            want_[i] = (VALUE); \
        } \
        same(#EXPRESSION, EXPRESSION, want_); \
    } while (0)
#define MARK(m) vselect(m, vset(1.0f), vzero())

static void pairs(void) {
    for (int k = 0; k < AWKWARD * AWKWARD; k++) {
        float as[VW], bs[VW];
        for (int i = 0; i < VW; i++) {
            as[i] = awkward[(k + i) % AWKWARD];
            bs[i] = awkward[(k / AWKWARD + 5 * i) % AWKWARD];
        }
        const vf x = vload(as), y = vload(bs);
        CHECK(vmax(x, y), a > b ? a : b);
        CHECK(vmin(x, y), a < b ? a : b);
        CHECK(vabs(x), fabsf(a));
        CHECK(vsqrt(x), sqrtf(a));
        CHECK(vsqrt(x) / y, sqrtf(a) / b);
        CHECK(MARK(vgt(x, y)), a > b);
        CHECK(MARK(vunordered(x, y)), isnan(a) || isnan(b));
        CHECK(MARK(vnot(vgt(x, y))), !(a > b));
        CHECK(MARK(vand(vgt(x, y), vgt(x, vzero()))), a > b && a > 0);
        CHECK(MARK(vor(vgt(x, y), vgt(x, vzero()))), a > b || a > 0);
        CHECK(MARK(vandnot(vgt(x, y), vgt(x, vzero()))), !(a > b) && a > 0);
        CHECK(vselect(vgt(x, y), x, y), a > b ? a : b);
        CHECK(vnegate(vgt(x, y), x), a > b ? -a : a);
        CHECK(vfma_if(vgt(x, y), vset(2.0f), x, vset(1.0f)), a > b ? 2 * a + 1 : 1);
        CHECK(vkeep(x), a);
    }
}

static void integers(void) {
    for (int k = -126; k <= 127; k++) { /* 1.5 * 2^23 rounds below 2^22, and ties to even */
        float as[VW], bs[VW];
        for (int i = 0; i < VW; i++) {
            as[i] = (float)(k + i) * 0.5f;
            bs[i] = (float)(k + i < 128 ? k + i : 0);
        }
        const vf x = vload(as), y = vload(bs);
        CHECK(vround(x) + vzero(), rintf(a) + 0.0f); /* either zero */
        CHECK(vtofloat(vtoint(y)), b);
        CHECK(vpow2(vtoint(y)), ldexpf(1, (int)b));
        CHECK((vf)vmaxi(vtoint(y), vtoint(vset(3.0f))), ((union { int i; float f; }){b > 3 ? (int)b : 3}).f);
    }
}

static void bytes(void) {
    float table[16], as[VW], bs[VW];
    uint8_t in[VW], out[VW];
    for (int i = 0; i < 16; i++) table[i] = (float)(100 + i);
    for (int k = 0; k < 256; k++) {
        for (int i = 0; i < VW; i++) {
            in[i] = (uint8_t)(k + 37 * i);
            as[i] = in[i];
            bs[i] = (float)(in[i] & 7);
        }
        const vb v = vload_u8(in);
        const vf x = vload(as);
        vstore_u8(out, v);
        for (int i = 0; i < VW; i++) bs[i] = out[i];
        CHECK(x, b);
        CHECK(vtofloat(vwiden(v)), a);
        CHECK(vlookup4(table, vwiden(v)), table[(int)a % 4]);
        CHECK(vlookup16(table, vwiden(v)), table[(int)a % 16]);
        CHECK(MARK(vbit(v, 4)), ((int)a & 4) != 0);
        CHECK(MARK(veqb(v, vsetb(k))), a == k);
        CHECK(vtofloat(vwiden(vselectb(vgt(x, vset(99.0f)), v, vsetb(7)))), a > 99 ? a : 7);
        const vm right = vbit(v, 1), low_right = vbit(v, 2), low = vbit(v, 4);
        CHECK(vtofloat(vwiden(vposition(right, low_right, low))), (int)a & 4 ? 2 + ((int)a >> 1 & 1) : (int)a & 1);
    }
}

static void movement(void) {
    float as[VW], bs[VW], memory[64], to[64];
    for (int i = 0; i < 64; i++) memory[i] = (float)i;
    memcpy(as, memory, sizeof as);
    memcpy(bs, memory + 20, sizeof bs);
    vf even, odd;
    vsplit_pairs(vload(memory), vload(memory + VW), &even, &odd);
    CHECK(even, 2 * a);
    CHECK(odd, 2 * a + 1);
    vdouble(vload(as), &even, &odd);
    CHECK(even, (int)a / 2);
    CHECK(odd, (int)a / 2 + VW / 2);
    CHECK(vload4s(memory, 12), memory[(int)a / 4 * 12 + (int)a % 4]);
    const float *row[VW];
    for (int i = 0; i < VW; i++) row[i] = memory + 3 * i;
    CHECK(vgather4(row, 2), memory[(int)a / 4 * 12 + 2 + (int)a % 4]);
    memset(to, 0, sizeof to);
    vstore4s(to, 12, vload(as));
    CHECK(vload4s(to, 12), a);
    vf t[4] = {vload(memory), vload(memory + VW), vload(memory + 2 * VW), vload(memory + 3 * VW)};
    vtranspose4(t);
    for (int r = 0; r < 4; r++) CHECK(t[r], memory[(int)a % 4 * VW + (int)a / 4 * 4 + r]);
    for (int l = 0; l <= VW; l++) {
        CHECK(vload_tail(memory, l), a < (float)l ? a : 0);
        CHECK(vloadn(memory, l), a < (float)l ? a : 0);
        memset(to, 0, sizeof to);
        vstore_tail(to, vload(bs), l);
        CHECK(vload(to), a < (float)l ? b : 0);
        for (int i = VW; i < 64; i++) failures += to[i] != 0;
    }
    const vf four[4] = {vload(memory), vload(memory + 3), vload(memory + 5), vload(memory + 9)};
    const vq sums = vsum4(four);
    for (int r = 0; r < 4; r++) failures += sums[r] != vsum(four[r]);
    failures += vsum(vload(memory)) != VW * (VW - 1) / 2;
    failures += vmaximum(vload(bs)) != (float)(20 + VW - 1);
    bs[VW / 2] = NAN;
    failures += !isnan(vmaximum(vload(bs)));
}

int main(void) {
    pairs();
    integers();
    bytes();
    movement();
    printf("vocabulary of width %d: %d failures\n", VW, failures);
    return failures != 0;
}
