using System.Collections.Concurrent;

namespace DarkStorage.ClientApi.S3;

/// <summary>How S3 writes our enumerations: the member's name, unless the member says otherwise.</summary>
internal static class S3Words
{
    private static readonly ConcurrentDictionary<Enum, string> Known = new();

    public static string Of(Enum value) => Known.GetOrAdd(value, static value => value switch
    {
        GrainInterfaces.Objects.RetentionMode mode => mode.ToString().ToUpperInvariant(),
        Rules.Acls.AclPermission permission => permission switch
        {
            Rules.Acls.AclPermission.Read => "READ",
            Rules.Acls.AclPermission.Write => "WRITE",
            Rules.Acls.AclPermission.ReadAcp => "READ_ACP",
            Rules.Acls.AclPermission.WriteAcp => "WRITE_ACP",
            _ => "FULL_CONTROL",
        },
        _ => value.ToString(),
    });
}
