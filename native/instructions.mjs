// Which instructions the objects of each ISA may hold. By their encoding, not by their registers: compiled for AVX, arithmetic on single numbers is
// encoded anew as well (vmovss on %xmm), and a processor without AVX ends the process at it.

const amx = /^(?:tile\w+|ldtilecfg|sttilecfg|t\w+ps|tdp\w+)$/
const bf16 = /^v(?:dpbf16ps|cvtne2?ps2\w*bf16)/
// What AVX-512 F, CD, BW, DQ and VL lack: VNNI, IFMA, VBMI, bit counts, half precision.
const later =
  /^v(?:pdpb|pdpw|pmadd52|permi?t?2?b$|pmultishiftqb|pcompress[bw]|pexpand[bw]|psh[lr]d|popcnt|pshufbitqmb|(?!cvtps2ph)\w+[ps]h$)/

/** By object name: what an instruction (prefix `legacy`, `vex` or `evex`) must not be. The order matters: `bf16_avx512` is `avx512` too. */
const rules = [
  // All with AMX have AVX512-BF16. Of AMX's products only that of bfloat16 is asked for.
  [/kernels_bf16_amx/, ({ name }) => later.test(name) || /^(?:tdp(?!bf16ps)|tc)/.test(name)],
  [/kernels_bf16_avx512/, ({ name }) => amx.test(name) || later.test(name)],
  [/kernels_avx512/, ({ name }) => amx.test(name) || later.test(name) || bf16.test(name)],
  [/kernels_avx2/, ({ name, prefix }) => amx.test(name) || prefix === 'evex'],
  [/(?:)/, ({ prefix }) => prefix !== 'legacy']
]

/** The instructions of `objdump -d`, with the bytes: { name, prefix, text }. */
function* instructionsOf(disassembly) {
  for (const line of disassembly.split('\n')) {
    const match = /^\s*[0-9a-f]+:\t((?:[0-9a-f]{2} )+)\s*\t(\S+)(.*)$/.exec(line)
    if (match === null) continue
    const [, bytes, name, operands] = match
    // Segment and address size may come first. In 64-bit code nothing else begins with these bytes.
    const [first] = bytes
      .trim()
      .split(' ')
      .filter((byte) => !/^(?:2e|36|3e|26|64|65|67)$/.test(byte))
    const prefix = first === '62' ? 'evex' : first === 'c4' || first === 'c5' ? 'vex' : 'legacy'
    yield { name, prefix, text: `${name}${operands}`.trim() }
  }
}

/** Up to three instructions of `file`, disassembled by `objdump -d`, that its processors may lack. */
export function strangers(file, disassembly) {
  const [, isForbidden] = rules.find(([name]) => name.test(file))
  const found = []
  for (const instruction of instructionsOf(disassembly)) {
    if (isForbidden(instruction) && found.push(instruction.text) === 3) break
  }
  return found
}
