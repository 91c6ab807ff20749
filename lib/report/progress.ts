import { formatClock } from './format.js'
import { printable } from './table.js'

/** Where progress is drawn: `process.stderr`, or a stand-in in tests. */
export interface ProgressStream {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

export interface ProgressOptions {
  readonly stream?: ProgressStream
  readonly environment?: Readonly<Record<string, string | undefined>>
  /** Milliseconds; injected by tests. */
  readonly now?: () => number
}

/** One line at a time: `update` as often as you like, `done` ends the line with a last word. */
export interface Progress {
  update(label: string, done: number, total: number, note?: string): void
  done(message: string): void
  /** Takes the bar away, so that something else can be printed. */
  clear(): void
}

const defaults = { redrawMs: 80, lineMs: 5000, barWidth: 24 } as const

/** A bar that redraws itself on a terminal; a plain line every five seconds and at each new label elsewhere (logs, CI, pipes). */
export function createProgress(options: ProgressOptions = {}): Progress {
  const stream = options.stream ?? process.stderr
  const environment = options.environment ?? process.env
  const now = options.now ?? (() => performance.now())
  const live = stream.isTTY === true && environment.TERM !== 'dumb'
  return live ? liveProgress(stream, !environment.NO_COLOR, now) : plainProgress(stream, now)
}

function liveProgress(stream: ProgressStream, colours: boolean, now: () => number): Progress {
  let label = ''
  let started = 0
  let drawnAt = -Infinity
  let drawn = false
  const clear = (): void => {
    if (drawn) stream.write('\r\u001b[2K')
    drawn = false
  }
  return {
    clear,
    update(next, done, total, note = '') {
      if (next !== label) {
        label = next
        started = now()
        drawnAt = -Infinity
      }
      if (now() - drawnAt < defaults.redrawMs && done < total) return
      drawnAt = now()
      drawn = true
      stream.write(
        `\r\u001b[2K${bar({ label, done, total, note, seconds: (now() - started) / 1000, colours, columns: stream.columns ?? 80 })}`
      )
    },
    done(message) {
      clear()
      label = ''
      stream.write(`${colours ? '\u001b[32m✓\u001b[0m' : '✓'} ${printable(message)}\n`)
    }
  }
}

interface BarState {
  readonly label: string
  readonly done: number
  readonly total: number
  readonly note: string
  readonly seconds: number
  readonly colours: boolean
  readonly columns: number
}

function bar(state: BarState): string {
  const share = fraction(state.done, state.total)
  const full = Math.round(share * defaults.barWidth)
  const left = share > 0.02 && share < 1 ? ` ${formatClock((state.seconds / share) * (1 - share))} left` : ''
  const blocks = `${'█'.repeat(full)}${'░'.repeat(defaults.barWidth - full)}`
  const before = `${printable(state.label)} `
  const after = ` ${percent(share)}${left}${state.note === '' ? '' : `  ${printable(state.note)}`}`
  // A line that wraps could not be redrawn: what does not fit is cut off.
  const room = Math.max(0, state.columns - 1 - before.length - defaults.barWidth)
  return `${before}${state.colours ? `\u001b[36m${blocks}\u001b[0m` : blocks}${after.slice(0, room)}`
}

function plainProgress(stream: ProgressStream, now: () => number): Progress {
  let label = ''
  let writtenAt = -Infinity
  return {
    clear() {},
    update(next, done, total, note = '') {
      const fresh = next !== label
      if (!fresh && now() - writtenAt < defaults.lineMs) return
      label = next
      writtenAt = now()
      stream.write(`${printable(label)}: ${percent(fraction(done, total))}${note === '' ? '' : `, ${printable(note)}`}\n`)
    },
    done(message) {
      label = ''
      stream.write(`${printable(message)}\n`)
    }
  }
}

function fraction(done: number, total: number): number {
  return total > 0 ? Math.min(1, Math.max(0, done / total)) : 0
}

function percent(share: number): string {
  return `${Math.floor(share * 100)}%`.padStart(4)
}
