// An authorization server of others (oidc-provider), as a service of OAuth is: refresh tokens are taken once, and a second use ends the grant. It is told by /control what it is to do.
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [tools, port] = process.argv.slice(2);
const { default: Provider } = await import(pathToFileURL(createRequire(`${tools}/`).resolve('oidc-provider')));

const told = { accessSeconds: 3600, deviceSeconds: 600, denies: false, refreshes: 0, failed: 0 };
const grants = [];

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{
    client_id: 'cluster', client_secret: 'secret-of-the-application-0123456789', token_endpoint_auth_method: 'client_secret_post', application_type: 'native',
    redirect_uris: ['http://127.0.0.1/v1/integrations/oauth/callback'], response_types: ['code'],
    grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
  }],
  features: {
    devInteractions: { enabled: false }, deviceFlow: { enabled: true }, revocation: { enabled: true },
  },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  issueRefreshToken: () => true,
  rotateRefreshToken: true,
  pkce: { required: () => true },
  ttl: { AccessToken: () => told.accessSeconds, DeviceCode: () => told.deviceSeconds, AuthorizationCode: 60, Grant: 86400, IdToken: 3600, Interaction: 3600, RefreshToken: 86400, Session: 86400 },
  cookies: { keys: ['a-key-of-the-tests'] },
});
provider.on('grant.success', (ctx) => { if (ctx.oidc.params.grant_type === 'refresh_token') told.refreshes++; });
provider.on('grant.error', (ctx) => { if (ctx.oidc.params?.grant_type === 'refresh_token') told.failed++; });

provider.use(async (ctx, next) => {
  if (ctx.path.startsWith('/interaction/')) {
    const { prompt, params, session } = await provider.interactionDetails(ctx.req, ctx.res);
    ctx.respond = false;
    if (told.denies) return provider.interactionFinished(ctx.req, ctx.res, { error: 'access_denied', error_description: 'Somebody said no.' });
    if (prompt.name === 'login') return provider.interactionFinished(ctx.req, ctx.res, { login: { accountId: 'somebody' } });
    const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
    grant.addOIDCScope(params.scope ?? 'openid');
    const grantId = await grant.save();
    grants.push(grantId);
    return provider.interactionFinished(ctx.req, ctx.res, { consent: { grantId } }, { mergeWithLastSubmission: true });
  }
  if (ctx.path !== '/control') return next();
  for (const name of ['accessSeconds', 'deviceSeconds']) if (ctx.query[name]) told[name] = Number(ctx.query[name]);
  if (ctx.query.denies) told.denies = ctx.query.denies === 'true';
  if (ctx.query.revoke) {
    for (const id of grants.splice(0)) {
      await provider.RefreshToken.revokeByGrantId(id);
      await provider.AccessToken.revokeByGrantId(id);
    }
  }
  ctx.body = { ...told, takes: ctx.query.token ? Boolean((await provider.AccessToken.find(ctx.query.token))?.isValid) : undefined };
});
provider.listen(Number(port), '127.0.0.1');
