namespace DarkStorage.Rules.Buckets;

/// <summary>Who pays for requests. Nobody is billed here; where it is the requester, those who do not own the bucket must say that they know.</summary>
public sealed record RequestPayment(Payer Payer);

public enum Payer
{
    BucketOwner,
    Requester,
}
