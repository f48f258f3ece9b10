/* cpuid: which of the compiled tables this processor can run, and which processor it is. */
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "dlcore.h"

extern const dlc_tiles dlc_tiles_baseline;
#if defined(DLC_HAVE_AVX2)
extern const dlc_tiles dlc_tiles_avx2;
#endif
#if defined(DLC_HAVE_AVX512)
extern const dlc_tiles dlc_tiles_avx512;
#endif
#if defined(DLC_HAVE_NEON)
extern const dlc_tiles dlc_tiles_neon;
#endif

const char *const dlc_isas[] = {"baseline", "neon", "avx2", "avx512", NULL};

const dlc_tiles *dlc_find(const char *isa) {
    if (!strcmp(isa, "baseline")) return &dlc_tiles_baseline;
#if defined(DLC_HAVE_NEON)
    if (!strcmp(isa, "neon")) return &dlc_tiles_neon; /* every aarch64 processor has it */
#endif
#if defined(DLC_HAVE_AVX2) || defined(DLC_HAVE_AVX512)
    __builtin_cpu_init(); /* the builtins below also ask whether the operating system saves the wide registers */
#endif
#if defined(DLC_HAVE_AVX2)
    if (!strcmp(isa, "avx2") && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return &dlc_tiles_avx2;
#endif
#if defined(DLC_HAVE_AVX512)
    if (!strcmp(isa, "avx512") && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw"))
        return &dlc_tiles_avx512;
#endif
    return NULL;
}

int dlc_processor(char vendor[13], int *family, int *model) {
    memset(vendor, 0, 13);
    *family = *model = 0;
#if defined(__x86_64__)
    unsigned a, b, c, d;
    if (!__get_cpuid(0, &a, &b, &c, &d)) return 0;
    memcpy(vendor, &b, 4);
    memcpy(vendor + 4, &d, 4);
    memcpy(vendor + 8, &c, 4);
    if (!__get_cpuid(1, &a, &b, &c, &d)) return 0;
    *family = (int)(a >> 8 & 15);
    *model = (int)(a >> 4 & 15);
    if (*family == 6 || *family == 15) *model += (int)(a >> 16 & 15) << 4;
    if (*family == 15) *family += (int)(a >> 20 & 255);
    return 1;
#else
    return 0;
#endif
}
