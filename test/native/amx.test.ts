import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { amxEmulator } from '../helpers/amx-emulator.js'

// What a process finds, and does, where the processor has AMX (emulated), where the system refuses it, and where there is none. Results of the
// kernels are compared in bf16.test.ts, whole sessions in test/runtime/precision.test.ts.
const emulator = amxEmulator(t.testdir())
const child = fileURLToPath(new URL('child/amx.ts', import.meta.url))

t.setTimeout(0)

/** The self-test under the emulator alone: a sanitizer is not made for its faults. */
function check(...faults: string[]): ReturnType<typeof spawnSync> {
  return spawnSync(emulator.check, faults, { env: { ...process.env, ...emulator.env }, encoding: 'utf8' })
}

function runChild(env: Record<string, string>): {
  bf16: string | null
  bf16Reason: string
  kernel?: string
  error?: string
  code?: string
} {
  const { stdout, stderr, status, signal } = spawnSync(process.execPath, [...process.execArgv, child], {
    env: { ...process.env, ...env },
    encoding: 'utf8'
  })
  if (status !== 0) throw new Error(`${signal ?? status}: ${stderr}`)
  return JSON.parse(stdout)
}

t.test('the emulator does what the manual says', { skip: emulator.missing }, async (t) => {
  const { stdout, status } = check()
  t.equal(status, 0, String(stdout))
})

const faults = {
  palette: '#GP: LDTILECFG: a palette beyond 1',
  reserved: '#GP: LDTILECFG: reserved bytes',
  beyond: '#GP: LDTILECFG: reserved bytes',
  rows: '#GP: LDTILECFG: a tile larger',
  bytes: '#GP: LDTILECFG: a tile larger',
  half: '#GP: LDTILECFG: a tile with rows or columns only',
  none: '#UD: tiles are not configured',
  missing: '#UD: the tile has no rows',
  shape: '#UD: TDPBF16PS: tiles that do not fit',
  twice: '#UD: TDPBF16PS: a tile twice',
  vvvv: '#UD: VEX.vvvv',
  width: '#UD: VEX.L',
  nosib: '#UD: a tile move without SIB',
  int8: 'an illegal instruction that is no tile instruction',
  ud2: 'an illegal instruction that is no tile instruction'
}

t.test('the emulator refuses what a processor would', { skip: emulator.missing }, async (t) => {
  for (const [name, message] of Object.entries(faults)) {
    const { stderr, signal } = check(name)
    t.equal(signal, 'SIGABRT', name)
    t.match(String(stderr), `amx-emulator: ${message}`, name)
  }
})

const { POLYADIC_BF16: _, ...unforced } = emulator.env

t.test('AMX is taken where it is', { skip: emulator.missing }, async (t) => {
  const found = runChild({ ...unforced })
  t.equal(found.bf16, 'amx_bf16')
  t.equal(found.bf16Reason, '')
  t.match(found.kernel, /^bf16 \(amx_bf16\) direct/)
})

t.test('refused, the next best takes its place, and the reason is told', { skip: emulator.missing }, async (t) => {
  const refused = { ...unforced, AMX_EMULATOR_REFUSE: '1' }
  const found = runChild(refused)
  t.equal(found.bf16, 'avx512_bf16')
  t.match(found.bf16Reason, /^AMX: the system refused permission \(.+\)$/)
  t.match(found.kernel, /^bf16 \(avx512_bf16\) direct/)
  const forced = runChild({ ...refused, POLYADIC_BF16: 'amx_bf16' })
  t.equal(forced.bf16, null)
  t.equal(forced.code, 'POLYADIC_UNSUPPORTED')
  t.match(forced.error, /amx_bf16: AMX: the system refused permission/)
})

// Where the processor has AMX these two find it.
t.test('forced without AMX it is an error, not an illegal instruction', async (t) => {
  const found = runChild({ POLYADIC_BF16: 'amx_bf16' })
  if (found.bf16 !== null) return t.equal(found.bf16, 'amx_bf16')
  t.equal(found.code, 'POLYADIC_UNSUPPORTED')
  t.match(found.error, /POLYADIC_BF16=amx_bf16: this CPU has no such kernels/)
  const alone = runChild({ POLYADIC_BF16: 'amx_bf16', POLYADIC_AMX: 'emulated' })
  t.equal(alone.bf16, null, 'nothing emulates it')
})
