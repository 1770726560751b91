namespace DarkStorage.ClientApi.S3;

/// <summary>A request that is answered with one of S3's errors. Never thrown for what is our own defect.</summary>
/// <remarks>The message and the fields go to the client, so they hold nothing that the client did not send or may not know.</remarks>
internal sealed class S3Exception : Exception
{
    private readonly List<KeyValuePair<string, string>> _fields = [];

    /// <param name="message">In place of the error's own.</param>
    public S3Exception(S3Error error, string? message = null, Exception? inner = null) : base(message ?? error.Message, inner) => Error = error;

    public S3Error Error { get; }

    /// <summary>Elements of the answer beside the code and the message, in this order: <c>BucketName</c>, <c>ArgumentName</c>, <c>Region</c> and so on.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> Fields => _fields;

    /// <summary>Adds a field to the answer.</summary>
    public S3Exception With(string field, string value)
    {
        _fields.Add(new(field, value));
        return this;
    }

    /// <summary><c>InvalidArgument</c> about a header or parameter, with the two fields that AWS adds.</summary>
    public static S3Exception InvalidArgument(string message, string argument, string value) =>
        new S3Exception(S3Error.InvalidArgument, message).With("ArgumentName", argument).With("ArgumentValue", value);
}
