import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { native } from '../../lib/native/binding.js'
import { amxPrograms, findAmx } from '../helpers/amx.js'

// What a process finds, and does, where there is AMX, where the system refuses it, and where there is none. Results of the kernels are
// compared in bf16.test.ts, whole sessions in test/runtime/precision.test.ts.
const folder = t.testdir()
const amx = findAmx(folder)
const programs = amxPrograms(folder)
const child = fileURLToPath(new URL('child/amx.ts', import.meta.url))

t.setTimeout(0)

/** Not under a sanitizer, unless the emulator is: it is not made for these faults. */
function check(...faults: string[]): ReturnType<typeof spawnSync> {
  const { LD_PRELOAD: _, ...env } = process.env
  return spawnSync(programs.check, faults, { env: { ...env, ...amx.found }, encoding: 'utf8' })
}

function runChild(env: Readonly<Record<string, string>>): {
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

const unchecked = amx.missing || programs.missing

t.test(`${amx.name}: what the manual says`, { skip: unchecked }, async (t) => {
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
  nosib: '#UD: a tile move without SIB'
}

t.test(`${amx.name}: what a processor refuses`, { skip: unchecked }, async (t) => {
  for (const [name, message] of Object.entries(faults)) {
    const { stderr, signal } = check(name)
    const raised = message.startsWith('#GP') ? 'SIGSEGV' : 'SIGILL'
    t.equal(signal, amx.emulated ? 'SIGABRT' : raised, name)
    if (amx.emulated) t.match(String(stderr), `amx-emulator: ${message}`, name)
  }
})

const skip = unchecked || (!amx.emulated && 'the processor has AMX: nothing is emulated')
t.test('the emulator handles nothing but tile instructions', { skip }, async (t) => {
  for (const name of ['int8', 'ud2']) {
    const { stderr, signal } = check(name)
    t.equal(signal, 'SIGABRT', name)
    t.match(String(stderr), 'amx-emulator: an illegal instruction that is no tile instruction', name)
  }
})

t.test(`${amx.name}: taken where it is`, { skip: amx.missing }, async (t) => {
  const found = runChild(amx.found)
  t.equal(found.bf16, 'amx_bf16')
  t.equal(found.bf16Reason, '')
  t.match(found.kernel, /^bf16 \(amx_bf16\) direct/)
})

t.test(`${amx.name}: others take its place where they are named`, { skip: amx.missing }, async (t) => {
  for (const name of ['avx512_bf16', 'scalar']) {
    const found = runChild({ ...amx.found, POLYADIC_BF16: name })
    t.equal(found.bf16, name)
    t.equal(found.bf16Reason, '')
    t.match(found.kernel, `bf16 (${name}) direct`)
  }
  const off = runChild({ ...amx.found, POLYADIC_BF16: 'off' })
  t.equal(off.bf16, null)
  t.equal(off.bf16Reason, 'POLYADIC_BF16=off')
  t.equal(off.code, 'POLYADIC_UNSUPPORTED')
})

t.test('refused, the next best takes its place, and the reason is told', { skip: programs.missing }, async (t) => {
  const found = runChild(programs.refused)
  t.equal(found.bf16, 'avx512_bf16')
  t.match(found.bf16Reason, /^AMX: the system refused permission \(.+\)$/)
  t.match(found.kernel, /^bf16 \(avx512_bf16\) direct/)
  const forced = runChild({ ...programs.refused, POLYADIC_BF16: 'amx_bf16' })
  t.equal(forced.bf16, null)
  t.equal(forced.code, 'POLYADIC_UNSUPPORTED')
  t.match(forced.error, /amx_bf16: AMX: the system refused permission/)
})

const there = native().cpu().features.amxBf16 && 'the processor has AMX'
t.test('forced without AMX it is an error, not an illegal instruction', { skip: there }, async (t) => {
  const found = runChild({ POLYADIC_BF16: 'amx_bf16' })
  t.equal(found.bf16, null)
  t.equal(found.code, 'POLYADIC_UNSUPPORTED')
  t.match(found.error, /POLYADIC_BF16=amx_bf16: this CPU has no such kernels/)
  const alone = runChild({ POLYADIC_BF16: 'amx_bf16', POLYADIC_AMX: 'emulated' })
  t.equal(alone.bf16, null, 'nothing emulates it')
})
