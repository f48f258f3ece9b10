#define DLC_ISA neon
#include "tiles.inc"
