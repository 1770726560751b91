namespace DarkStorage.ClientApi.S3;

/// <summary>A verified signature, and what the signatures of the body's chunks go on from.</summary>
/// <param name="SigningKey">Derived from the secret for one day and region: as secret as that. Not to be changed: it is shared with the cache.</param>
/// <param name="SeedSignature">64 lower-case hexadecimal digits.</param>
internal sealed record SigningContext(string AccessKeyId, byte[] SigningKey, string Timestamp, string Scope, string SeedSignature, PayloadHash Payload)
{
    public override string ToString() => $"signature of {AccessKeyId} for {Scope}";   // the key stays out of logs
}
