using System.ComponentModel.DataAnnotations;

namespace DarkStorage.Storage.Peers;

/// <summary>What a node proves itself by to the others.</summary>
public enum PeerIdentityKind
{
    /// <summary>By the key that follows from the cluster secret.</summary>
    Secret,
    /// <summary>By a certificate of the operator's own.</summary>
    Certificate,
}

/// <summary>Certificates of the operator's own, in the place of the one that follows from the cluster secret; and what is shown and accepted while a cluster changes from one to the other.</summary>
public sealed record PeerIdentityOptions : IValidatableObject
{
    /// <summary>PEM: this node's certificate, with those between it and the authority behind it where there are some.</summary>
    public string CertificateFile { get; init; } = "";

    /// <summary>PEM, not encrypted: its private key.</summary>
    public string KeyFile { get; init; } = "";

    /// <summary>PEM: one or more certificates of authorities that sign for this cluster's nodes and for nobody else.</summary>
    public string AuthorityFile { get; init; } = "";

    /// <summary>What is shown. By default the certificate where the three files are named, else the secret.</summary>
    [EnumDataType(typeof(PeerIdentityKind))]
    public PeerIdentityKind? Identity { get; init; }

    /// <summary>Whether the one that is not shown is accepted too. Default false: it is for the time of a change.</summary>
    public bool AcceptsBoth { get; init; }

    /// <summary>Time between two looks at the files. Default 1 minute: programs that renew certificates do so days before the end.</summary>
    [Range(typeof(TimeSpan), "00:00:00.050", "1.00:00:00")]
    public TimeSpan CertificateInterval { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>Whether there are certificates.</summary>
    public bool NamesFiles => CertificateFile.Length > 0;

    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        string[] files = [CertificateFile, KeyFile, AuthorityFile];
        if (files.Any(f => f.Length > 0) && files.Any(f => f.Length == 0)) yield return new("CertificateFile, KeyFile and AuthorityFile belong together: all three are named, or none.");
        else if (!NamesFiles && Identity == PeerIdentityKind.Certificate) yield return new("Identity is certificate, and CertificateFile, KeyFile and AuthorityFile do not name one.");
        else if (!NamesFiles && AcceptsBoth) yield return new("AcceptsBoth is for a cluster with certificates, and CertificateFile, KeyFile and AuthorityFile name none.");
    }
}
