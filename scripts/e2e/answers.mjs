// What holds for every answer to the Node client: the published schemas and the contract's (scripts/e2e/schemas). Counts checks.
// Answers are looked at in the axios instance that the client's own `setClient` takes, so that the client itself stays as it is.

import { readFileSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { isDeepStrictEqual } from 'node:util'

// Packages are under .pillarbox, where imports by name do not look.
export const packages = createRequire(`${process.env.NODE_PACKAGES}/package.json`)
const Ajv = packages('ajv').default
const axios = packages('axios')

const SCHEMAS = new URL('schemas/', import.meta.url)
// As the client's own tests call them.
const ALIASES = { 'notification.json': 'GET_notification_response.json', 'receivedText.json': 'GET_received_text_response.json' }
// Newer than the published schema, which allows nothing besides what it names (schemas/README.md).
const NOT_YET_PUBLISHED = { POST_notification_email_response: 'sanitised_content' }
const FORMATS = {
  'date-time': /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/,
  uri: /^[a-z][a-z0-9+.-]*:\/\/[^/\s]+\S*$/,
  email_address: /^[^@]+@[^@]+$/
}

function readJson (name) {
  return JSON.parse(readFileSync(new URL(name, SCHEMAS)))
}

/** Prints a line per check and counts them. */
export class Tally {
  passed = 0
  failed = 0

  check (what, found, expected) {
    this.checkThat(what, isDeepStrictEqual(found, expected), `${JSON.stringify(found)}, expected ${JSON.stringify(expected)}`)
  }

  /** For what is not an equality; `what` says what is expected. */
  checkThat (what, holds, shown) {
    if (holds) {
      this.passed += 1
      console.log(`ok     ${what}`)
    } else {
      this.fail(what, `found ${typeof shown === 'string' ? shown : JSON.stringify(shown)}`)
    }
  }

  fail (what, why) {
    this.failed += 1
    console.log(`FAILED ${what}: ${why}`)
  }

  /** Runs the steps; what is thrown there fails these, not the rest. */
  async flow (steps, ...parameters) {
    try {
      return await steps(...parameters)
    } catch (error) {
      this.fail(steps.name, `it ended with ${error} ${JSON.stringify(error.response?.data ?? '')}`)
    }
  }
}

/** The schemas, and what was held against them. */
export class Answers {
  met = {}
  misfits = 0

  constructor (tally) {
    this.tally = tally
    this.routes = readJson('answers.json')
    // The published schemas are of several drafts, of which they use nothing in particular.
    this.ajv = new Ajv({ strict: false, allErrors: true, validateSchema: false, formats: FORMATS })
    const add = (schema, name) => this.ajv.addSchema({ ...schema, $schema: undefined, $id: name })
    for (const name of readdirSync(new URL('published/', SCHEMAS)).filter((name) => name.endsWith('.json'))) {
      add(readJson(`published/${name}`), name)
    }
    for (const [alias, name] of Object.entries(ALIASES)) add(readJson(`published/${name}`), alias)
    add(readJson('contract.json'), 'contract.json')
  }

  /** Has the client use a connection that is watched. */
  watch (client) {
    const watched = axios.create()
    watched.interceptors.response.use(
      (response) => { this.meet(response); return response },
      (error) => { if (error.response) this.meet(error.response); throw error })
    client.setClient(watched)
    return client
  }

  meet ({ status, config, headers, data }) {
    const method = config.method.toUpperCase()
    const path = new URL(config.url).pathname
    const answer = `${status} to ${method} ${path}`
    const route = this.routes.find((route) => route.method === method && new RegExp(`^(?:${route.path})$`).test(path))
    if (!route) return this.misfit(answer, 'no schema is named for this URL (schemas/answers.json)')
    if (headers['content-type'] !== 'application/json') {
      return this.misfit(answer, `the content type is ${headers['content-type']}, expected application/json`)
    }
    // The client asks for the bytes where it expects a PDF.
    const body = config.responseType === 'arraybuffer' ? JSON.parse(new TextDecoder().decode(data)) : data
    const kind = status < 400 ? route.contract : 'error'
    this.met[kind] = (this.met[kind] ?? 0) + 1
    if (status >= 400) {
      const form = path.startsWith('/v2/') ? 'error' : 'plain_error'
      this.fits(answer, body, `contract.json#/definitions/${form}`)
      if (form === 'error' && body.status_code !== status) this.misfit(answer, `status_code is ${body.status_code}`)
    } else if (!route.published || status !== route.status) {
      this.misfit(answer, `expected ${route.published ? route.status : 'a refusal'}`)
    } else {
      this.fits(answer, body, `contract.json#/definitions/${route.contract}`)
      const { [NOT_YET_PUBLISHED[route.published]]: _newer, ...published } = body
      this.fits(answer, published, `${route.published}.json`)
    }
  }

  fits (answer, body, schema) {
    const validate = this.ajv.getSchema(schema)
    if (!validate) return this.misfit(answer, `there is no schema ${schema}`)
    validate(body)
    for (const error of validate.errors ?? []) this.misfit(answer, `${error.instancePath || '/'} ${error.message}`)
  }

  misfit (answer, why) {
    this.misfits += 1
    this.tally.fail(`schema: ${answer}`, why)
  }

  close () {
    const kinds = Object.entries(this.met).sort().map(([kind, count]) => `${count} ${kind}`)
    this.tally.check(`schema: every answer fits (${kinds.join(', ')})`, this.misfits, 0)
  }
}

/** Passes everything on to the client, and notes in `used` which methods were called. */
export function recorded (client, used) {
  return new Proxy(client, {
    get (target, name) {
      used.add(name)
      return typeof target[name] === 'function' ? target[name].bind(target) : target[name]
    }
  })
}
