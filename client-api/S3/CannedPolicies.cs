namespace DarkStorage.ClientApi.S3;

/// <summary>Policies that are there by name, for users that need nothing finer.</summary>
internal static class CannedPolicies
{
    /// <summary>Everything, and the management API.</summary>
    public const string Administrator = "administrator";

    /// <returns>The document, or null where there is none of that name.</returns>
    public static string? Find(string name) => name switch
    {
        Administrator or "readwrite" => Document("s3:*"),
        "readonly" => Document("s3:Get*", "s3:List*"),
        "writeonly" => Document("s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"),
        _ => null,
    };

    private static string Document(params string[] actions) =>
        $$"""{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[{{string.Join(',', actions.Select(a => $"\"{a}\""))}}],"Resource":"*"}]}""";
}
