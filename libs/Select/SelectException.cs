namespace DarkStorage.Select;

/// <summary>A query that is answered with one of S3 Select's errors. The message goes to the client: it holds nothing but what the client sent and where it stands.</summary>
/// <param name="code">One of AWS's codes for SelectObjectContent, such as <c>ParseUnexpectedToken</c>.</param>
/// <param name="position">Characters into the expression, from 0; null where the error is not in the expression.</param>
public sealed class SelectException(string code, string message, int? position = null, Exception? inner = null)
    : Exception(position is { } at ? $"{message} At character {at + 1} of the expression." : message, inner)
{
    public string Code { get; } = code;

    public int? Position { get; } = position;
}
