// The official Node client, unmodified, against a running Pillarbox: every method that it has, and what it rejects with.
// Takes everything from the environment (`. .pillarbox/env`). Prints a line per check and goes on after one that fails; exits with 1
// if any did. What both clients are asked is the same where they can ask the same; see python_client.py for the rest.

import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'

import { Answers, Tally, packages, recorded } from './answers.mjs'

const { NotifyClient } = packages('notifications-node-client')
const { AxiosError } = packages('axios')

const {
  NOTIFY_API_URL: API, API_KEY: KEY, SERVICE_ID: SERVICE, FUNCTIONAL_TEST_NUMBER: PHONE, FUNCTIONAL_TEST_EMAIL: EMAIL,
  SMS_TEMPLATE_ID: SMS_TEMPLATE, EMAIL_TEMPLATE_ID: EMAIL_TEMPLATE, NEWS_TEMPLATE_ID: NEWS_TEMPLATE, SMS_SENDER_ID: SENDER, EMAIL_REPLY_TO_ID: REPLY_TO,
  LIMITED_SMS_TEMPLATE_ID: LIMITED_SMS_TEMPLATE, LIMITED_EMAIL_TEMPLATE_ID: LIMITED_EMAIL_TEMPLATE, LIMITED_NUMBER,
  SIMULATOR_URL: SIMULATOR
} = process.env
const FINAL_WITHIN_SECONDS = 60

// One run finds its own messages by this, also in a database that was kept.
const RUN = randomUUID().slice(-12)
const NAME = `Rosa ${RUN}`
const PERSONALISATION = { name: NAME }
const UNSUBSCRIBE = `https://permits.example.com/unsubscribe/${RUN}`

const NOT_FOUND = ['NoResultFound', 'No result found']
const FILE_TYPES = "'.csv', '.doc', '.docx', '.jpeg', '.jpg', '.json', '.odt', '.pdf', '.png', '.rtf', '.txt', '.xlsx'"
const STATUSES = 'cancelled, created, sending, sent, delivered, pending, failed, technical-failure, temporary-failure, ' +
  'permanent-failure, pending-virus-check, validation-failed, virus-scan-failed, returned-letter, accepted, received'
// About the connection, not the API. Every answer here comes through `setClient`; a proxy is not at hand.
const NOT_ASKED = ['setProxy']

const tally = new Tally()
const answers = new Answers(tally)
const used = new Set(['setClient'])

function clientOf (key) {
  return recorded(answers.watch(new NotifyClient(API, key)), used)
}

/** Polls until the notification is final; anything but the expected status, or the time running out, fails. */
async function final (client, id, what, expected = 'delivered') {
  const seen = new Set()
  const deadline = Date.now() + FINAL_WITHIN_SECONDS * 1000
  let notification
  do {
    if (seen.size) await sleep(200)
    notification = (await client.getNotificationById(id)).data
    seen.add(notification.status)
  } while (['created', 'sending', 'pending'].includes(notification.status) && Date.now() < deadline)
  tally.check(`${what} becomes ${expected} within ${FINAL_WITHIN_SECONDS} s (${[...seen].join(' -> ')})`, notification.status, expected)
  tally.checkThat(`${what}: a time of completion`, notification.completed_at, notification.completed_at)
  return notification
}

/** `errors`: class and message of each. */
async function refused (what, asked, status, ...errors) {
  let answer
  try {
    answer = await asked
  } catch (error) {
    tally.check(`refused: ${what}`, [error instanceof AxiosError, error.response?.status, error.response?.data],
      [true, status, { status_code: status, errors: errors.map(([error, message]) => ({ error, message })) }])
    return
  }
  tally.fail(`refused: ${what}`, `it was accepted: ${JSON.stringify(answer.data)}`)
}

const ids = (notifications) => notifications.map((notification) => notification.id)

// Sending and reading

async function sendSms (client, reference) {
  const { status, data: sent } = await client.sendSms(SMS_TEMPLATE, PHONE,
    { personalisation: PERSONALISATION, reference, smsSenderId: SENDER })
  tally.check('sms: 201', status, 201)
  const { id, ...rest } = sent
  tally.check('sms: the whole answer', rest, {
    reference,
    content: { body: `Hello ${NAME}, your permit is ready to collect.`, from_number: 'PILLARBOX' },
    uri: `${API}/v2/notifications/${id}`,
    template: { id: SMS_TEMPLATE, version: 1, uri: `${API}/services/${SERVICE}/templates/${SMS_TEMPLATE}` },
    scheduled_for: null
  })
  return sent
}

async function sendEmail (client, reference) {
  const { status, data: sent } = await client.sendEmail(EMAIL_TEMPLATE, EMAIL,
    { personalisation: PERSONALISATION, reference, emailReplyToId: REPLY_TO, oneClickUnsubscribeURL: UNSUBSCRIBE })
  tally.check('e-mail: 201', status, 201)
  const { id, content: { body, ...content }, ...rest } = sent
  tally.checkThat('e-mail: body starts with the filled heading', body.startsWith(`# Hello ${NAME}\n`), body)
  tally.check('e-mail: the rest of the answer', { ...rest, content }, {
    reference,
    content: {
      from_email: content.from_email, subject: `Your permit is ready, ${NAME}`, one_click_unsubscribe_url: UNSUBSCRIBE
    },
    uri: `${API}/v2/notifications/${id}`,
    template: { id: EMAIL_TEMPLATE, version: 1, uri: `${API}/services/${SERVICE}/templates/${EMAIL_TEMPLATE}` },
    scheduled_for: null,
    sanitised_content: {}
  })
  return sent
}

async function sendTheLeast (client) {
  const { data: sms } = await client.sendSms(SMS_TEMPLATE, PHONE, { personalisation: PERSONALISATION })
  const { data: email } = await client.sendEmail(EMAIL_TEMPLATE, EMAIL, { personalisation: PERSONALISATION })
  tally.check('least: neither references nor one-click URL',
    [sms.reference, email.reference, email.content.one_click_unsubscribe_url], [null, null, null])
  let refusal
  await client.sendSms(SMS_TEMPLATE, PHONE, { unknown: 1 }).catch((error) => { refusal = error.message })
  tally.checkThat('the client itself refuses options that it does not know', refusal?.includes('["unknown"]'), refusal)
}

async function sanitise (client) {
  const unsafe = 'Rosa *M* https://evil.example/a?b or evil.example'
  const safe = 'Rosa \\*M\\*  or evil\\. example'
  const { data: sent } = await client.sendEmail(EMAIL_TEMPLATE, EMAIL, { personalisation: { name: unsafe }, sanitiseContentFor: ['Name'] })
  tally.check('sanitised: what was changed, and how', sent.sanitised_content, { name: { unsanitised: unsafe, sanitised: safe } })
  tally.checkThat('sanitised: the body has the safe value', sent.content.body.startsWith(`# Hello ${safe}\n`), sent)
}

async function read (client, sms, email) {
  const text = await final(client, sms.id, 'sms')
  const { cost_details: cost } = text
  tally.check('sms: as sent', [text.type, text.phone_number, text.email_address, text.body, text.subject, text.reference],
    ['sms', PHONE, null, sms.content.body, null, sms.reference])
  tally.check('sms: template', text.template,
    { id: SMS_TEMPLATE, version: sms.template.version, uri: `${API}/v2/template/${SMS_TEMPLATE}/version/${sms.template.version}` })
  tally.check('sms: fragments and their cost', [text.is_cost_data_ready, cost.billable_sms_fragments, text.cost_in_pounds],
    [true, 1, cost.sms_rate])
  const mail = await final(client, email.id, 'e-mail')
  tally.check('e-mail: as sent',
    [mail.type, mail.phone_number, mail.email_address, mail.body, mail.subject, mail.one_click_unsubscribe_url],
    ['email', null, EMAIL, email.content.body, email.content.subject, UNSUBSCRIBE])
  tally.check('e-mail: costs nothing', [mail.cost_in_pounds, mail.cost_details], [0, {}])
}

/** What the simulated providers were given for a notification. */
async function inbox ({ id }) {
  const messages = await (await fetch(`${SIMULATOR}/messages.json`)).json()
  return messages.find(({ reference }) => reference.split('@')[0] === id)
}

async function handedOver (sms, email) {
  tally.check('inbox: the text, with the service\'s name in front', (await inbox(sms))?.text, `Pillarbox demo: ${sms.content.body}`)
  const headers = Object.fromEntries((await inbox(email))?.headers ?? [])
  tally.check('inbox: the e-mail\'s headers',
    [headers.Subject, headers['Reply-To'], headers['List-Unsubscribe'], headers['List-Unsubscribe-Post']],
    [email.content.subject, 'reply@example.com', `<${UNSUBSCRIBE}>`, 'List-Unsubscribe=One-Click'])
}

// Lists

async function lists (client, sms, email, reference) {
  // Newest first: the e-mail was sent after the text.
  const both = [email.id, sms.id]
  const listed = async (...filters) => ids((await client.getNotifications(...filters)).data.notifications)

  tally.check('list: by reference', await listed(null, null, reference), both)
  const newest = await listed()
  tally.checkThat('list: without filters', both.every((id) => newest.includes(id)), newest)
  tally.check('list: sms, delivered, by reference', await listed('sms', 'delivered', reference), [sms.id])
  tally.check('list: email, delivered, by reference', await listed('email', 'delivered', reference), [email.id])
  tally.check('list: none of them failed', await listed(null, 'failed', reference), [])
  tally.check('list: received stands for delivered', await listed(null, 'received', reference), both)
  tally.check('list: older than the e-mail', await listed(null, null, reference, email.id), [sms.id])
  tally.check('list: older than the oldest', await listed(null, null, reference, sms.id), [])
  tally.check('list: older than what nobody knows', await listed(null, null, reference, randomUUID()), [])
  const { data: { links } } = await client.getNotifications('sms', 'delivered', reference)
  const filters = (link) => Object.fromEntries(new URL(link).searchParams)
  const asked = { template_type: 'sms', status: 'delivered', reference }
  tally.check('list: current link repeats the filters', filters(links.current), asked)
  tally.check('list: next link adds the last id', filters(links.next), { ...asked, older_than: sms.id })
}

async function badFilters (client) {
  await refused('a status that is none', client.getNotifications(null, 'lost'), 400,
    ['ValidationError', `status lost is not one of [${STATUSES}]`])
  await refused('several statuses, which this client joins', client.getNotifications(null, ['created', 'sending']), 400,
    ['ValidationError', `status created,sending is not one of [${STATUSES}]`])
  await refused('a type that is none', client.getNotifications('fax'), 400,
    ['ValidationError', 'template_type fax is not one of [sms, email, letter]'])
  await refused('older than no id', client.getNotifications(null, null, null, '1'), 400,
    ['ValidationError', 'older_than is not a valid UUID'])
}

// Keys

async function keys (simulated, team, client) {
  const reference = `e2e-${RUN}-keys`
  const options = { personalisation: PERSONALISATION, reference }
  const { data: listed } = await team.sendSms(SMS_TEMPLATE, PHONE, options)
  await final(team, listed.id, 'team key: sms to the guest list')
  const teamOnly = ['BadRequestError', 'Can’t send to this recipient using a team-only API key']
  await refused('team key, a stranger\'s number', team.sendSms(SMS_TEMPLATE, '07700900999', options), 400, teamOnly)
  await refused('team key, a stranger\'s address', team.sendEmail(EMAIL_TEMPLATE, 'stranger@example.com', options), 400, teamOnly)
  for (const [recipient, outcome] of [['07700900003', 'temporary-failure'], ['07700900002', 'permanent-failure'], ['07700900999', 'delivered']]) {
    const { data: sent } = await simulated.sendSms(SMS_TEMPLATE, recipient, options)
    await final(simulated, sent.id, `test key: sms to ${recipient}`, outcome)
  }
  for (const [recipient, outcome] of [
    ['temp-fail@simulator.notify', 'temporary-failure'], ['perm-fail@simulator.notify', 'permanent-failure'], [EMAIL, 'delivered']
  ]) {
    const { data: sent } = await simulated.sendEmail(EMAIL_TEMPLATE, recipient, options)
    await final(simulated, sent.id, `test key: e-mail to ${recipient}`, outcome)
  }
  const counts = []
  for (const key of [client, team, simulated]) counts.push((await key.getNotifications(null, null, reference)).data.notifications.length)
  tally.check('list: a key lists its own type only', counts, [0, 1, 6])
}

async function simulatedRecipients (client) {
  const options = { personalisation: PERSONALISATION }
  const { data: sms } = await client.sendSms(SMS_TEMPLATE, '07700 900 222', options)
  await refused('a simulated number leaves nothing to read', client.getNotificationById(sms.id), 404, NOT_FOUND)
  const { data: email } = await client.sendEmail(EMAIL_TEMPLATE, 'simulate-delivered-3@notifications.service.gov.uk', options)
  await refused('a simulated address leaves nothing to read', client.getNotificationById(email.id), 404, NOT_FOUND)
}

// Templates

async function templates (client) {
  for (const [type, id] of [['sms', SMS_TEMPLATE], ['email', EMAIL_TEMPLATE]]) {
    const { data: template } = await client.getTemplateById(id)
    const filled = (text) => text && text.replace('((name))', NAME)
    tally.check(`template: ${type}`, [template.id, template.type, template.personalisation], [id, type, { name: { required: true } }])
    for (const version of [template.version, 0]) {
      tally.check(`template: ${type}, version ${version}`, (await client.getTemplateByIdAndVersion(id, version)).data, template)
    }
    const { data: { templates: listed } } = await client.getAllTemplates(type)
    tally.checkThat(`templates: ${type} only`, ids(listed).includes(id) && listed.every((one) => one.type === type), listed)
    const { data: { html, ...preview } } = await client.previewTemplateById(id, PERSONALISATION)
    tally.check(`preview: ${type}`, preview,
      { id, type, version: template.version, body: filled(template.body), subject: filled(template.subject), postage: null })
    tally.checkThat(`preview: ${type}'s HTML`, type === 'email' ? html.includes(NAME) : html === null, html)
    await refused(`preview of ${type} without a name`, client.previewTemplateById(id), 400, ['BadRequestError', 'Missing personalisation: name'])
  }
  const { data: { templates: all } } = await client.getAllTemplates()
  tally.checkThat('templates: both', [SMS_TEMPLATE, EMAIL_TEMPLATE].every((id) => ids(all).includes(id)), all)
  tally.check('templates: no letters', (await client.getAllTemplates('letter')).data, { templates: [] })
  await refused('templates of a type that is none', client.getAllTemplates('fax'), 400,
    ['ValidationError', 'type fax is not one of [sms, email, letter]'])
  await refused('a template that does not exist', client.getTemplateById(randomUUID()), 404, NOT_FOUND)
  await refused('a version that does not exist', client.getTemplateByIdAndVersion(SMS_TEMPLATE, 4000), 404, NOT_FOUND)
  await refused('a template id that is none', client.getTemplateById('1'), 400, ['ValidationError', 'id is not a valid UUID'])
}

// Refusals

async function letters (client) {
  const permission = ['BadRequestError', 'Service is not allowed to send letters']
  const address = { address_line_1: 'Rosa Marsh', address_line_2: '1 High Street', address_line_3: 'SW1A 1AA', name: NAME }
  await refused('a letter', client.sendLetter(EMAIL_TEMPLATE, { personalisation: address, reference: RUN }), 400, permission)
  await refused('a precompiled letter', client.sendPrecompiledLetter(RUN, Buffer.from('%PDF-1.5 test'), 'first'), 400, permission)
}

/** Without schemas: nobody published one for this answer. */
async function noPdf (sms) {
  const asked = recorded(new NotifyClient(API, KEY), used).getPdfForLetterNotification(sms.id)
  await refused('the PDF of a text', asked, 400, ['BadRequestError', 'Notification is not a letter'])
}

async function refusals (client) {
  const options = { personalisation: PERSONALISATION }
  await refused('a notification that does not exist', client.getNotificationById(randomUUID()), 404, NOT_FOUND)
  await refused('an id that is none', client.getNotificationById('1'), 400, ['ValidationError', 'notification_id is not a valid UUID'])
  await refused('personalisation left out', client.sendSms(SMS_TEMPLATE, PHONE), 400, ['BadRequestError', 'Missing personalisation: name'])
  await refused('a template that does not exist', client.sendSms(randomUUID(), PHONE, options), 400, ['BadRequestError', 'Template not found'])
  await refused('a template of the other type', client.sendEmail(SMS_TEMPLATE, EMAIL, options), 400,
    ['BadRequestError', 'sms template is not suitable for email notification'])
  await refused('three mistakes at once', client.sendEmail('1', 'rosa', { personalisation: 'x' }), 400,
    ['ValidationError', 'email_address Not a valid email address'],
    ['ValidationError', 'template_id is not a valid UUID'],
    ['ValidationError', 'personalisation x is not of type object'])
  const nobody = randomUUID()
  await refused('a sender of nobody', client.sendSms(SMS_TEMPLATE, PHONE, { ...options, smsSenderId: nobody }), 400,
    ['BadRequestError', `sms_sender_id ${nobody} does not exist in database for service id ${SERVICE}`])
  await refused('a reply-to of nobody', client.sendEmail(EMAIL_TEMPLATE, EMAIL, { ...options, emailReplyToId: nobody }), 400,
    ['BadRequestError', `email_reply_to_id ${nobody} does not exist in database for service id ${SERVICE}`])
  await refused('an unsubscribe link without TLS',
    client.sendEmail(EMAIL_TEMPLATE, EMAIL, { ...options, oneClickUnsubscribeURL: 'http://example.com' }), 400,
    ['ValidationError', 'one_click_unsubscribe_url is not a valid https url'])
}

async function wrongKeys () {
  const [service, secret] = [KEY.slice(-73, -37), KEY.slice(-36)]
  const asking = (service, secret) => clientOf(`wrong-${service}-${secret}`).getNotifications()
  await refused('a secret that no key has', asking(service, randomUUID()), 403, ['AuthError', 'Invalid token: API key not found'])
  await refused('a service that does not exist', asking(randomUUID(), secret), 403, ['AuthError', 'Invalid token: service not found'])
  await refused('a service id that is none', asking('x'.repeat(36), secret), 403,
    ['AuthError', 'Invalid token: service id is not the right data type'])
}

// The service of limited_service.sql: nine requests a minute (three at once) for each type of key, one text a day

async function limits (client, simulated) {
  const options = { personalisation: { code: RUN } }
  const { data: sent } = await client.sendSms(LIMITED_SMS_TEMPLATE, PHONE, options)
  await final(client, sent.id, 'limits: the one text of the day')
  await refused('a second text on a day of one', client.sendSms(LIMITED_SMS_TEMPLATE, PHONE, options), 429,
    ['TooManyRequestsError', 'Exceeded send limits (sms: 1) for today'])
  for (const number of [1, 2]) {
    const { data: sent } = await simulated.sendSms(LIMITED_SMS_TEMPLATE, PHONE, options)
    tally.checkThat(`limits: a test key's texts do not count (${number} of 2)`, sent.id, sent)
  }
}

/** Asks wrongly until it is refused for asking too often; that comes before the body is looked at. */
async function rateLimit (client) {
  let refusal
  for (let asked = 0; asked < 9 && refusal?.status !== 429; asked++) {
    await client.sendSms('', '').catch((error) => { refusal = error.response })
  }
  tally.check('refused: more than nine requests a minute, whatever is in them', [refusal.status, refusal.data.errors],
    [429, [{ error: 'RateLimitError', message: 'Exceeded rate limit for key type LIVE of 9 requests per 60 seconds' }]])
  const wait = Number(refusal.headers['retry-after'])
  tally.checkThat('rate limit: Retry-After says how many seconds to wait', Number.isInteger(wait) && wait >= 1 && wait <= 60, wait)
}

/** The platform's own link: in the e-mail's headers, in what is read, and working, however often it is followed. */
async function unsubscribe (client) {
  const { data: sent } = await client.sendEmail(LIMITED_EMAIL_TEMPLATE, EMAIL)
  tally.check('unsubscribe: the caller gave no URL, so none is echoed', sent.content.one_click_unsubscribe_url, null)
  const { one_click_unsubscribe_url: url } = await final(client, sent.id, 'unsubscribe: e-mail')
  tally.checkThat('unsubscribe: what is read has a link of ours', url.startsWith(`${API}/unsubscribe/${sent.id}/`), url)
  const headers = Object.fromEntries((await inbox(sent)).headers)
  tally.check('unsubscribe: the same link in the e-mail\'s headers', [headers['List-Unsubscribe'], headers['List-Unsubscribe-Post']],
    [`<${url}>`, 'List-Unsubscribe=One-Click'])
  for (const times of ['once', 'twice']) {
    const answer = await fetch(url, { method: 'POST', body: 'List-Unsubscribe=One-Click' })
    tally.check(`unsubscribe: followed ${times}`, [answer.status, await answer.json()],
      [200, { result: 'success', message: 'Unsubscribe successful' }])
  }
}

async function receivedTexts (client) {
  const here = `${API}/v2/received-text-messages`
  tally.check('received: nothing yet', (await client.getReceivedTexts()).data, { received_text_messages: [], links: { current: here } })
  for (const [provider, message] of [['mmg', 'Yes please!'], ['firetext', 'STOP']]) {
    const body = new URLSearchParams({ provider, from: '447700900123', to: LIMITED_NUMBER, message })
    const answer = await (await fetch(`${SIMULATOR}/inbound`, { method: 'POST', body })).json()
    tally.check(`received: a text by ${provider} is taken`, [answer.answered, answer.body], [200, '{"status":"ok"}'])
  }
  const { data: { received_text_messages: texts, links } } = await client.getReceivedTexts()
  tally.check('received: newest first, from and to whom', texts.map((text) => [text.content, text.user_number, text.notify_number]),
    ['STOP', 'Yes please!'].map((content) => [content, '447700900123', LIMITED_NUMBER]))
  tally.check('received: links', links, { current: here, next: `${here}?older_than=${texts[1].id}` })
  for (const [place, older] of [['newest', [texts[1].id]], ['oldest', []]]) {
    const { data } = await client.getReceivedTexts(place === 'newest' ? texts[0].id : texts[1].id)
    tally.check(`received: older than the ${place}`, ids(data.received_text_messages), older)
  }
  await refused('received texts older than no id', client.getReceivedTexts('1'), 400, ['ValidationError', 'older_than is not a valid UUID'])
}

// Files. What the page asks of people is checked with the Python client.

async function files (client) {
  const content = `name,permit\nRosa,${RUN}\n`
  // Its subject has no value: no file may be in one.
  const sending = (name) => client.sendEmail(NEWS_TEMPLATE, EMAIL, { personalisation: { name } })
  const upload = client.prepareUpload(Buffer.from(content),
    { filename: 'permits.csv', confirmEmailBeforeDownload: false, retentionPeriod: '4 weeks' })
  const { data: sent } = await sending(upload)
  const [link] = sent.content.body.match(/https?:\/\/\S+\/d\/[^\s,]+/)
  const mail = await final(client, sent.id, 'files: e-mail')
  tally.check('files: what is read has the same link', mail.body, sent.content.body)
  const page = await fetch(link)
  const button = (await page.text()).match(/href="([^"]+\/file\?[^"]+)"/)
  tally.checkThat('files: the link leads to a page with a link to the file', button, page.status)
  const file = await fetch(new URL(button[1].replaceAll('&amp;', '&'), page.url))
  tally.check('files: the file is as it was sent', [file.status, await file.text()], [200, content])
  const bare = client.prepareUpload(content)
  tally.check('files: all that is left out is null', bare,
    { file: Buffer.from(content).toString('base64'), filename: null, confirm_email_before_download: null, retention_period: null })
  await refused('a file in a text', client.sendSms(SMS_TEMPLATE, PHONE, { personalisation: { name: bare } }), 400,
    ['BadRequestError', 'Can only send a file by email'])
  await refused('a file of a kind that nobody may send', sending(client.prepareUpload(content, { filename: 'permits.exe' })), 400,
    ['BadRequestError', `Unsupported file type '.exe'. Supported types are: ${FILE_TYPES}`])
  await refused('a file that is kept for too long', sending(client.prepareUpload(content, { retentionPeriod: '79 weeks' })), 400,
    ['ValidationError', 'retention_period Unsupported value for retention_period: 79 weeks. Supported periods are from 1 to 78 weeks.'])
  let refusal
  try {
    client.prepareUpload(Buffer.alloc(2 * 1024 * 1024 + 1))
  } catch (error) {
    refusal = error
  }
  tally.check('files: the client itself refuses more than 2 MiB', refusal, 'File is larger than 2MB.')
}

const [client, team, simulated, limited, limitedTest] =
  ['API_KEY', 'API_SENDING_KEY', 'API_TEST_KEY', 'LIMITED_NORMAL_KEY', 'LIMITED_TEST_KEY'].map((name) => clientOf(process.env[name]))
const reference = `e2e-${RUN}`
const sms = await tally.flow(sendSms, client, reference)
const email = await tally.flow(sendEmail, client, reference)
if (sms && email) {
  await tally.flow(read, client, sms, email)
  await tally.flow(handedOver, sms, email)
  await tally.flow(lists, client, sms, email, reference)
  await tally.flow(noPdf, sms)
}
for (const steps of [sendTheLeast, sanitise, simulatedRecipients, templates, badFilters, letters, refusals, files]) {
  await tally.flow(steps, client)
}
await tally.flow(keys, simulated, team, client)
await tally.flow(limits, limited, limitedTest)
await tally.flow(unsubscribe, limited)
await tally.flow(rateLimit, limited)
await tally.flow(receivedTexts, limited)
await tally.flow(wrongKeys)
answers.close()
const methods = Object.keys(NotifyClient.prototype).filter((name) => !NOT_ASKED.includes(name))
tally.check('every method of the client was used', methods.filter((name) => !used.has(name)), [])
console.log(`node client: ${tally.passed} passed, ${tally.failed} failed`)
process.exitCode = tally.failed ? 1 : 0
