import t from 'tap'
import { barChart } from '../../lib/report/charts.js'
import { htmlReport } from '../../lib/report/html.js'

const nasty = `<script>alert("x")</script>&'`

t.test('everything that comes from outside is escaped', async (t) => {
  const html = htmlReport({
    title: nasty,
    subtitle: nasty,
    sections: [
      { kind: 'text', heading: nasty, text: nasty },
      { kind: 'table', columns: [{ title: nasty }], rows: [[nasty]] },
      { kind: 'facts', facts: [[nasty, nasty]] },
      { kind: 'chart', svg: barChart([{ label: nasty, value: 1, group: nasty }], { title: nasty, xLabel: nasty }), note: nasty }
    ]
  })
  t.notMatch(html, /<script/i)
  t.notMatch(html, 'alert("x")')
  t.match(html, '&#60;script&#62;')
})

t.test('the file stands alone', async (t) => {
  const html = htmlReport({ title: 'Report', sections: [{ kind: 'text', text: 'hello' }] })
  t.match(html, /^<!doctype html>/)
  t.match(html, `default-src 'none'`)
  t.notMatch(html.replace('http://www.w3.org/2000/svg', ''), /\b(src|href)=|url\(|https?:/)
})
