using DarkStorage.Rules.Policies;

namespace DarkStorage.ClientApi.S3;

/// <summary>Policies as they come from where they are kept.</summary>
internal static class StoredPolicy
{
    /// <summary>What can't be read any more denies everything: nobody can tell what it forbade.</summary>
    public static IdentityPolicy Read(string name, string document)
    {
        try
        {
            return IdentityPolicy.Parse(name, document);
        }
        catch (PolicyFormatException)
        {
            return IdentityPolicy.Unreadable;
        }
    }

    /// <summary>The same for who may assume a role.</summary>
    public static TrustPolicy ReadTrust(string document)
    {
        try
        {
            return TrustPolicy.Parse(document);
        }
        catch (PolicyFormatException)
        {
            return TrustPolicy.Unreadable;
        }
    }
}
