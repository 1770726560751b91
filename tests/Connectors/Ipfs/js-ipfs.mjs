// A node of IPFS with its RPC, in one process: node js-ipfs.mjs MODULES REPOSITORY PORT. It reaches nobody, and says that it is ready.
// Of a version of Node that the last js-ipfs has not seen: some of what it is made of wants what came later.
Promise.withResolvers ??= function () {
  let resolve, reject
  const promise = new this((a, b) => { resolve = a; reject = b })
  return { promise, resolve, reject }
}

const [modules, repo, port] = process.argv.slice(2)
const { create } = await import(`${modules}/ipfs-core/src/index.js`)
const { HttpApi } = await import(`${modules}/ipfs-http-server/src/index.js`)

const ipfs = await create({
  repo,
  silent: true,
  offline: true,
  preload: { enabled: false },
  init: { algorithm: 'Ed25519', emptyRepo: true },
  config: { Addresses: { Swarm: [], API: `/ip4/127.0.0.1/tcp/${port}`, Gateway: [] }, Bootstrap: [], Discovery: { MDNS: { Enabled: false } } }
})
const api = new HttpApi(ipfs)
const createServer = api._createApiServer
api._createApiServer = async (...how) => {
  const server = await createServer(...how)
  // Kubo takes cid-base for each command. This one calls it otherwise for those of its files, and fails where there is a folder of a CID of version 0, which has no base.
  server.ext('onRequest', (request, h) => {
    const base = request.url.searchParams.get('cid-base')
    if (base && request.path === '/api/v0/files/ls' && request.url.searchParams.get('long') === 'true') {
      request.url.searchParams.set('cidBase', base)
      request.setUrl(request.url)
    } else if (base && request.path === '/api/v0/files/flush') {
      request.url.searchParams.delete('cid-base')
      request.setUrl(request.url)
    }
    return h.continue
  })
  return server
}
await api.start()
process.on('SIGTERM', async () => {
  await api.stop()
  await ipfs.stop()
  process.exit(0)
})
