namespace DarkStorage.Rules.Policies;

/// <summary>The document is no policy, or says what no policy may say. S3's answer to it is <c>MalformedPolicy</c>.</summary>
/// <param name="message">For the author of the policy, in AWS's words where AWS has a message for it.</param>
public sealed class PolicyFormatException(string message) : Exception(message);
