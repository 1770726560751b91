namespace DarkStorage.ClientApi.S3;

/// <summary>A signature that is well-formed, in time and for us; whether it is right is still to be seen.</summary>
/// <param name="AccessKeyId">Whose secret must be known to verify it.</param>
/// <param name="Timestamp">When it was signed: <c>20130524T000000Z</c>.</param>
/// <param name="Region">Of the scope.</param>
/// <param name="SignedHeaders">Names with semicolons between, as sent.</param>
/// <param name="Signature">As sent, so perhaps not even hexadecimal.</param>
/// <param name="IsPresigned">In the query, not in a header.</param>
/// <param name="Service">Of the scope: <c>s3</c> or <c>sts</c>.</param>
internal sealed record ParsedSignature(
    string AccessKeyId,
    string Timestamp,
    string Region,
    string SignedHeaders,
    string Signature,
    PayloadHash Payload,
    bool IsPresigned,
    string Service)
{
    /// <summary><c>20130524</c>.</summary>
    public string Date => Timestamp[..8];

    /// <summary><c>20130524/us-east-1/s3/aws4_request</c>.</summary>
    public string Scope { get; } = $"{Timestamp.AsSpan(0, 8)}/{Region}/{Service}/aws4_request";
}
