import t from 'tap'
import { Application, LogLevel } from 'typedoc'
import { root } from './snippets.js'

t.test('the API reference has no warnings', async (t) => {
  const app = await Application.bootstrapWithPlugins({ options: root, logLevel: LogLevel.None, skipErrorChecking: true })
  const warnings: string[] = []
  const log = app.logger.log.bind(app.logger)
  app.logger.log = (message: string, level: LogLevel) => {
    if (level >= LogLevel.Warn) warnings.push(message)
    log(message, level)
  }
  const project = await app.convert()
  if (project === undefined) return t.fail('nothing was converted')
  app.validate(project)
  t.same(warnings, [])
  t.ok(project.getChildByName('Session') && project.getChildByName('compress'), 'it has what the package exports')
})
