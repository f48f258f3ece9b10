#define DLC_ISA avx2
#include "tiles.inc"
