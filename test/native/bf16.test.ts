import { readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { native } from '../../lib/native/binding.js'

// A process uses one table of bfloat16 kernels. Each runs in processes of its own, with little second-level cache as well: then
// blocks go by bands of few rows. The scalar twin goes with every float32 table.
const child = fileURLToPath(new URL('child/bf16.ts', import.meta.url))
const { available, features } = native().cpu()
const folder = t.testdir()

t.setTimeout(0) // the twin takes as long as it takes

function spawn(isa: string, bf16: string, cache: string | undefined): string {
  const digests = path.join(folder, `${isa}-${bf16}-${cache}.json`)
  const env = { ...process.env, POLYADIC_ISA: isa, POLYADIC_BF16: bf16, POLYADIC_DIGESTS: digests }
  const limited = cache === undefined ? env : { ...env, POLYADIC_L2_KIB: cache }
  t.spawn(process.execPath, [...process.execArgv, child], { env: limited }, `${bf16} with ${isa}, ${cache ?? 'all'} KiB of cache`)
  return digests
}

function bitsOf(file: string): Record<string, string> {
  return JSON.parse(readFileSync(file, 'utf8')) as Record<string, string>
}

for (const isa of available) {
  const twin = spawn(isa, 'scalar', undefined)
  if (isa !== 'avx512' || !features.avx512Bf16) continue
  for (const cache of [undefined, '64', '2']) {
    const kernels = spawn(isa, 'avx512_bf16', cache)
    t.test(`AVX512-BF16, ${cache ?? 'all'} KiB of cache: the bits of the scalar twin`, async (t) => {
      const [expected, got] = [bitsOf(twin), bitsOf(kernels)]
      t.ok(Object.keys(expected).length > 300)
      for (const [name, bits] of Object.entries(expected)) t.equal(got[name], bits, name)
    })
  }
}
