import t from 'tap'

const { strangers } = (await import(new URL('../../native/instructions.mjs', import.meta.url).href)) as {
  strangers: (file: string, disassembly: string) => string[]
}

// Lines of `objdump -d`.
const lines = {
  movss: 'f3 0f 10 07          \tmovss  (%rdi),%xmm0',
  vmovss: 'c5 fa 10 07          \tvmovss (%rdi),%xmm0',
  segment: '64 c5 fa 10 07       \tvmovss %fs:(%rdi),%xmm0',
  vzeroupper: 'c5 f8 77             \tvzeroupper',
  ymm: 'c5 fc 58 c1          \tvaddps %ymm1,%ymm0,%ymm0',
  highXmm: '62 a1 74 00 58 c1    \tvaddps %xmm17,%xmm17,%xmm16',
  zmm: '62 f1 74 48 58 c1    \tvaddps %zmm1,%zmm1,%zmm0',
  toHalf: '62 f3 7d 48 1d c1 04 \tvcvtps2ph $0x4,%zmm0,%ymm1',
  bf16: '62 f2 76 48 52 c2    \tvdpbf16ps %zmm2,%zmm1,%zmm0',
  vnni: '62 f2 75 48 50 c2    \tvpdpbusd %zmm2,%zmm1,%zmm0',
  half: '62 f5 74 48 58 c2    \tvaddph %zmm2,%zmm1,%zmm0',
  tileload: 'c4 e2 7b 4b 04 30    \ttileloadd (%rax,%rsi,1),%tmm0',
  ldtilecfg: 'c4 e2 78 49 00       \tldtilecfg (%rax)',
  tilerelease: 'c4 e2 78 49 c0       \ttilerelease',
  tdpbf16ps: 'c4 e2 6a 5c c1       \ttdpbf16ps %tmm2,%tmm1,%tmm0',
  tdpbssd: 'c4 e2 6b 5e c1       \ttdpbssd %tmm2,%tmm1,%tmm0'
}
type Line = keyof typeof lines

const amx: Line[] = ['tileload', 'ldtilecfg', 'tilerelease', 'tdpbf16ps']
const vex: Line[] = ['vmovss', 'segment', 'vzeroupper', 'ymm']
const evex: Line[] = ['highXmm', 'zmm', 'toHalf']

const allowed: Readonly<Record<string, readonly Line[]>> = {
  'engine/native/ops/maxout.o': ['movss'],
  'kernels_scalar/native/kernels/scalar.o': ['movss'],
  'kernels_bf16_scalar/native/kernels/bf16_scalar.o': ['movss'],
  'kernels_avx2/native/kernels/avx2.o': ['movss', ...vex],
  'kernels_avx512/native/kernels/avx512.o': ['movss', ...vex, ...evex],
  'kernels_bf16_avx512/native/kernels/bf16_avx512.o': ['movss', ...vex, ...evex, 'bf16'],
  'kernels_bf16_amx/native/kernels/bf16_amx.o': ['movss', ...vex, ...evex, 'bf16', ...amx]
}

for (const [file, own] of Object.entries(allowed)) {
  t.test(file, (t) => {
    for (const line of Object.keys(lines) as Line[]) {
      const found = strangers(
        file,
        `${file}:     file format elf64-x86-64\n\n0000 <f>:\n   0:\t${lines[line]}\n   7:\tc3                   \tret\n`
      )
      t.equal(found.length, own.includes(line) ? 0 : 1, line)
    }
    t.end()
  })
}
