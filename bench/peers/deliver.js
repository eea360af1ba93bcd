// Posts the deliveries of the table delivery to a handler, each connection its own share of them.
//
// usage: node deliver.js PORT CONNECTIONS
// Prints for each delivery, as pgbench does: connection, number, microseconds, 0, and when it ended: seconds,
// microseconds.

'use strict'

const http = require('node:http')
const { connect } = require('./connections')

const [port, connections] = process.argv.slice(2).map(Number)
const agent = new http.Agent({ keepAlive: true, maxSockets: connections })

function post({ body, signature }) {
  return new Promise((resolve, reject) => {
    const headers = { 'stripe-signature': signature, 'content-type': 'application/json' }
    const request = http.request({ host: '127.0.0.1', port, method: 'POST', agent, headers }, (response) => {
      response.resume().on('end', () => {
        if (response.statusCode === 200) resolve()
        else reject(new Error(`answered ${response.statusCode}`))
      })
    })
    request.on('error', reject).end(body)
  })
}

async function connection(number, deliveries, lines) {
  for (let n = number, i = 0; n < deliveries.length; n += connections, i += 1) {
    const began = process.hrtime.bigint()
    await post(deliveries[n])
    const took = (process.hrtime.bigint() - began) / 1000n
    const ended = Date.now()
    lines.push([number, i, took, 0, Math.floor(ended / 1000), (ended % 1000) * 1000].join(' '))
  }
}

async function main() {
  const database = await connect()
  const { rows } = await database.query('select body, signature from delivery order by n')
  await database.end()
  const lines = []
  await Promise.all(Array.from({ length: connections }, (_, number) => connection(number, rows, lines)))
  agent.destroy()
  process.stdout.write(lines.join('\n') + '\n')
}

main()
