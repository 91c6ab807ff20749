import t from 'tap'
import { createProgress } from '../../lib/report/progress.js'

function setup(isTTY: boolean, environment: Record<string, string> = {}) {
  let time = 0
  let written = ''
  const stream = {
    isTTY,
    columns: 60,
    write: (text: string) => {
      written += text
    }
  }
  const progress = createProgress({ stream, environment, now: () => time })
  return {
    progress,
    written: () => written,
    wait: (ms: number) => {
      time += ms
    }
  }
}

t.test('elsewhere than on a terminal: plain lines, not one a call', async (t) => {
  const { progress, written, wait } = setup(false)
  for (let i = 0; i <= 100; i++) {
    progress.update('conv2', i, 100, `error ${i}`)
    wait(100)
  }
  progress.done('conv2 done')
  t.strictSame(written().split('\n'), ['conv2:   0%, error 0', 'conv2:  50%, error 50', 'conv2: 100%, error 100', 'conv2 done', ''])
  t.notMatch(written(), /[\u001b\r]/)
})

t.test('on a terminal: one line that redraws itself and fits', async (t) => {
  const { progress, written, wait } = setup(true)
  for (let i = 0; i <= 100; i++) {
    progress.update('conv2', i, 100, 'a note that is far too long for the rest of the line')
    wait(10)
  }
  const draws = written().split('\r').slice(1)
  t.ok(draws.length > 5 && draws.length < 20, `${draws.length} draws of 101 updates`)
  for (const draw of draws) t.ok(draw.replace(/\u001b\[\d*[mK]/g, '').length < 60)
  t.notMatch(written(), '\n')
  progress.done('done')
  t.match(written(), /✓.* done\n$/)
})

t.test('NO_COLOR takes colours away, a dumb terminal gets lines', async (t) => {
  const bare = setup(true, { NO_COLOR: '1' })
  bare.progress.update('x', 1, 2)
  bare.progress.done('x')
  t.notMatch(bare.written(), /\u001b\[\d+m/)
  const dumb = setup(true, { TERM: 'dumb' })
  dumb.progress.update('x', 1, 2)
  t.equal(dumb.written(), 'x:  50%\n')
})
