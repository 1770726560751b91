using System.Security.Cryptography;
using DarkStorage.ClientApi.Admin;
using DarkStorage.ClientApi.S3;
using DarkStorage.Rules.Identity;
using DarkStorage.Rules.Policies;

namespace DarkStorage.ClientApi.Sts;

// The four actions. Each returns what its answer holds.
internal sealed partial class StsEndpoint
{
    private const int DurationDefault = 3600;
    private const int DurationMax = 43_200;

    /// <summary>Of a session that was begun from another, and of root's: an hour, as in AWS.</summary>
    private const int ShortDurationMax = 3600;

    /// <summary>Of a user's GetSessionToken: 36 hours.</summary>
    private const int SessionTokenDurationMax = 129_600;
    private const int PolicyCharactersMax = 2048;
    private const int ArnLengthMin = 20;
    private const int ArnLengthMax = 2048;

    /// <summary>What was asked for besides the role.</summary>
    /// <param name="Policy">The session policy's document; empty for none.</param>
    private sealed record WantedSession(string RoleArn, string RoleName, string SessionName, int Duration, string Policy);

    private async Task<Action<S3XmlWriter>> AssumeRoleAsync(StsRequest request, CancellationToken ct)
    {
        var (caller, _, _) = await AuthenticateAsync(request, ct);
        var parameters = request.Parameters;
        parameters.Allow("RoleArn", "RoleSessionName", "DurationSeconds", "Policy", "ExternalId");
        if (parameters.Find("ExternalId") is not null) parameters.RequireName("ExternalId", 2, 1224, ":/");
        var wanted = ReadWanted(parameters);
        if (caller.Principal.Kind == PrincipalKind.Root) throw new StsException(StsError.AccessDenied, "Roles may not be assumed by root accounts.");
        var asked = new PolicyRequest(caller.Principal, StsActions.AssumeRole, wanted.RoleArn, Context(request));
        var role = wanted.RoleName.Length == 0 ? null : await roles.AskAsync(wanted.RoleName, ct);
        // Whether there is such a role is not for everybody to know.
        if (role is null || !RoleTrust.Allows(role.Trust, caller.Policies, caller.SessionPolicy, asked))
            throw new StsException(StsError.AccessDenied, $"User: {caller.Principal} is not authorized to perform: sts:AssumeRole on resource: {wanted.RoleArn}");
        if (caller.Principal.Kind == PrincipalKind.AssumedRole && wanted.Duration > ShortDurationMax)
            throw StsException.Invalid("The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.");
        return Begin(wanted, role, caller.Principal, new(Clock.GetUtcNow()), null);
    }

    private async Task<Action<S3XmlWriter>> AssumeRoleWithWebIdentityAsync(StsRequest request, CancellationToken ct)
    {
        var parameters = request.Parameters;
        parameters.Allow("RoleArn", "RoleSessionName", "WebIdentityToken", "DurationSeconds", "Policy");
        var wanted = ReadWanted(parameters);
        var identity = await identities.VerifyAsync(parameters.Require("WebIdentityToken", 4, WebIdentityToken.CharactersMax), ct);
        var facts = new SessionFacts(Clock.GetUtcNow(), TrustPolicy.ProviderOf(identity.Issuer), identity.Subject, identity.Audience);
        var principal = PolicyPrincipal.WebIdentity(services.Options.AccountId, facts);
        var role = wanted.RoleName.Length == 0 ? null : await roles.AskAsync(wanted.RoleName, ct);
        if (role is null || !RoleTrust.Allows(role.Trust, [], null, new(principal, StsActions.AssumeRoleWithWebIdentity, wanted.RoleArn, Context(request))))
            throw new StsException(StsError.AccessDenied, "Not authorized to perform sts:AssumeRoleWithWebIdentity");
        return Begin(wanted, role, principal, facts, xml =>
        {
            xml.Element("SubjectFromWebIdentityToken"u8, identity.Subject);
            xml.Element("Audience"u8, identity.Audience);
            xml.Element("Provider"u8, identity.Issuer);
        });
    }

    private async Task<Action<S3XmlWriter>> GetCallerIdentityAsync(StsRequest request, CancellationToken ct)
    {
        var (caller, _, _) = await AuthenticateAsync(request, ct);
        request.Parameters.Allow();
        return xml =>
        {
            xml.Element("Arn"u8, caller.Principal.Arn);
            xml.Element("UserId"u8, caller.Principal.UserId);
            xml.Element("Account"u8, caller.Principal.AccountId);
        };
    }

    private async Task<Action<S3XmlWriter>> GetSessionTokenAsync(StsRequest request, CancellationToken ct)
    {
        var (caller, parent, secret) = await AuthenticateAsync(request, ct);
        if (caller.IsSession) throw new StsException(StsError.AccessDenied, "Cannot call GetSessionToken with session credentials");
        request.Parameters.Allow("DurationSeconds");
        var seconds = request.Parameters.Duration(caller.IsRoot ? DurationDefault : DurationMax, SessionTokenDurationMax);
        if (caller.IsRoot) seconds = Math.Min(seconds, ShortDurationMax);      // AWS cuts it short too
        var now = Clock.GetUtcNow();
        var token = new SessionToken(NewId(), AccessKeysApi.NewSecret(), now, now.AddSeconds(seconds), parent, SessionToken.MarkOf(caller.Account, secret), "", "", "", "", "", "", "");
        return xml => WriteCredentials(xml, token);
    }

    /// <exception cref="StsException"/>
    private Action<S3XmlWriter> Begin(WantedSession wanted, KnownRole role, PolicyPrincipal by, SessionFacts facts, Action<S3XmlWriter>? more)
    {
        if (wanted.Duration > role.Record.Terms.MaxSessionSeconds)
            throw StsException.Invalid("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.");
        var token = new SessionToken(NewId(), AccessKeysApi.NewSecret(), facts.Issued, facts.Issued.AddSeconds(wanted.Duration), "", "", role.Record.Name, role.Record.Id,
            wanted.SessionName, facts.Provider, facts.Subject, facts.Audience, wanted.Policy);
        LogAssumed(log, by.ToString(), role.Record.Name, wanted.SessionName, token.Expires);
        return xml =>
        {
            WriteCredentials(xml, token);
            xml.Start("AssumedRoleUser"u8);
            xml.Element("AssumedRoleId"u8, $"{role.Record.Id}:{wanted.SessionName}");
            xml.Element("Arn"u8, $"arn:aws:sts::{services.Options.AccountId}:assumed-role/{role.Record.Name}/{wanted.SessionName}");
            xml.End("AssumedRoleUser"u8);
            if (wanted.Policy.Length > 0) xml.Element("PackedPolicySize"u8, (wanted.Policy.Length * 100L + PolicyCharactersMax - 1) / PolicyCharactersMax);
            more?.Invoke(xml);
        };
    }

    private void WriteCredentials(S3XmlWriter xml, SessionToken token)
    {
        xml.Start("Credentials"u8);
        xml.Element("AccessKeyId"u8, token.AccessKeyId);
        xml.Element("SecretAccessKey"u8, token.Secret);
        xml.Element("SessionToken"u8, sessions.Seal(token));
        xml.Element("Expiration"u8, Time(token.Expires));
        xml.End("Credentials"u8);
    }

    private WantedSession ReadWanted(StsParameters parameters)
    {
        var arn = parameters.Require("RoleArn", ArnLengthMin, ArnLengthMax);
        if (arn.Split(':', 6) is not ["arn", "aws", "iam", "", var account, var resource] || !resource.StartsWith("role/", StringComparison.Ordinal))
            throw StsException.Invalid("RoleArn is not the ARN of a role: arn:aws:iam::ACCOUNT:role/NAME.");
        // Nobody has a role in another account, or with a path: it is answered as one that is not there.
        var name = account == services.Options.AccountId && AdminRequests.IsName(resource["role/".Length..]) ? resource["role/".Length..] : "";
        return new(arn, name, parameters.RequireName("RoleSessionName", 2, 64), parameters.Duration(DurationDefault, DurationMax), ReadPolicy(parameters));
    }

    private static string ReadPolicy(StsParameters parameters)
    {
        if (parameters.Find("Policy") is not { } policy) return "";
        if (policy.Length > PolicyCharactersMax) throw new StsException(StsError.PackedPolicyTooLarge, $"The session policy has more than {PolicyCharactersMax} characters.");
        // What AWS allows in one; it also bounds the bytes of a token.
        if (policy.Any(c => c is not ('\t' or '\n' or '\r' or (>= '\u0020' and <= '\u00ff'))))
            throw StsException.Invalid("1 validation error detected: Value at 'policy' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\u0009\\u000A\\u000D\\u0020-\\u00FF]+");
        try
        {
            IdentityPolicy.Parse("", policy);
            return policy;
        }
        catch (PolicyFormatException e)
        {
            throw new StsException(StsError.MalformedPolicyDocument, e.Message, e);
        }
    }

    private StsContext Context(StsRequest request) => new(request.Http, services.Options, Clock, request.Parameters);

    private TimeProvider Clock => services.Clock;

    /// <summary>As AWS's ids of temporary keys look.</summary>
    private static string NewId() => "ASIA" + RandomNumberGenerator.GetString("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16);
}
